"""`berth completion bash|zsh|fish`: a script for the shell, which asks `berth __complete` at each Tab."""

from typing import Annotated

import typer

from cli.session import out
from cli.settings import HELP
from client.errors import BadOption

_BASH = """# Completion of berth for bash. Load it with:  source <(berth completion bash)
_berth() {
    local found=() line value
    local IFS=$'\\n'
    COMPREPLY=()
    found=($(berth __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
    for line in "${found[@]}"; do
        value="${line%%$'\\t'*}"
        if [[ "$value" == ":files" ]]; then
            compopt -o default 2>/dev/null
        else
            [[ "$value" == */ || "$value" == *= || "$value" == *: ]] && compopt -o nospace 2>/dev/null
            COMPREPLY+=("$value")
        fi
    done
}
complete -F _berth berth
"""

_ZSH = """#compdef berth
# Completion of berth for zsh. Load it with:  source <(berth completion zsh)
_berth() {
    local -a plain open
    local line value files=0
    for line in "${(@f)$(berth __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        value="${line%%$'\\t'*}"
        [[ -z "$value" ]] && continue
        if [[ "$value" == ":files" ]]; then
            files=1
        elif [[ "$value" == */ || "$value" == *= || "$value" == *: ]]; then
            open+=("$value")
        else
            plain+=("$value")
        fi
    done
    (( ${#plain} )) && compadd -- "${plain[@]}"
    (( ${#open} )) && compadd -S '' -- "${open[@]}"
    (( files )) && _files
    return 0
}
if [[ "${funcstack[1]}" == "_berth" ]]; then
    _berth "$@"
else
    (( ${+functions[compdef]} )) || { autoload -Uz compinit && compinit }
    compdef _berth berth
fi
"""

_FISH = """# Completion of berth for fish. Load it with:  berth completion fish | source
function __berth_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found (berth __complete $words[2..-1] 2>/dev/null)
    for line in $found
        if test "$line" = ":files"
            __fish_complete_path (commandline -ct)
        else
            echo $line
        end
    end
end
complete -c berth -f -a '(__berth_complete)'
"""

SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(completion)


def completion(
    shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish", help="Which shell.")],
) -> None:
    """Print a script that completes verbs, options, kinds, and names from the cluster.

    Load it with: source <(berth completion bash), source <(berth completion zsh), or: berth completion fish | source.
    """
    script = SCRIPTS.get(shell)
    if script is None:
        raise BadOption(f"there is no completion for {shell!r}; known shells: {', '.join(SCRIPTS)}")
    out(script, end="")
