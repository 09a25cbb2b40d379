#!/bin/sh
# Make etcd's users and roles: each part of Berth and each person may do its own work, and nothing else.
#
#   users.sh NODE ... [NAMESPACE:USER ...]
#   users.sh host1 host2 host3 team-a:alice
#
# A user is the common name of a client certificate and has no password. Give etcdctl its endpoints and root's
# certificate by ETCDCTL_ENDPOINTS, ETCDCTL_CACERT, ETCDCTL_CERT and ETCDCTL_KEY. BERTH_ROOT is the root of
# Berth's keys, /berth unless set. The command can be given again, with more nodes and people.
set -eu
root=${BERTH_ROOT:-/berth}
export ETCDCTL_API=3

[ $# -ge 1 ] || { echo "users.sh: say for which nodes: users.sh NODE ... [NAMESPACE:USER ...]" >&2; exit 1; }

# known WHAT NAME: whether there is such a user or role
known() { etcdctl "$1" list | grep -qx -- "$2"; }

role() { known role "$1" || etcdctl role add "$1"; }

user() {
    known user "$1" || etcdctl user add "$1" --no-password
    etcdctl user grant-role "$1" "$2"
}

# may ROLE read|readwrite KEY...: a key that ends in / stands for all keys below it
may() {
    to=$1 right=$2
    shift 2
    for key in "$@"; do
        case $key in
        */) etcdctl role grant-permission --prefix=true "$to" "$right" "$key" ;;
        *) etcdctl role grant-permission "$to" "$right" "$key" ;;
        esac
    done
}

controller() {
    role controller
    may controller readwrite "$root/" "$root-events/"
    user controller controller
}

# An admin reads all, writes what people write, in every namespace, and can't speak in the name of a machine.
admin() {
    role admin
    may admin read "$root/" "$root-events/"
    may admin readwrite "$root/spec/" "$root/applied/" "$root/requests/" "$root/secrets/"
    user admin admin
}

node() {
    role "agent-$1"
    may "agent-$1" read "$root/cluster" "$root/bindings/$1/" "$root/endpoints/"
    may "agent-$1" readwrite "$root/reports/$1/" "$root/heartbeats/$1"
    user "agent-$1" "agent-$1"
}

# A team works in its namespace. It reads what admission asks about: namespaces, queues, priority classes.
team() {
    role "team-$1"
    may "team-$1" read "$root/cluster" "$root/election/" "$root/status/$1/" "$root/access/$1" \
        "$root/owned/$1/" "$root/revisions/$1/" "$root/endpoints/$1/" \
        "$root-events/$1/" "$root/spec/_cluster/" "$root/status/_cluster/" "$root/requests/_cluster/"
    may "team-$1" readwrite "$root/spec/$1/" "$root/applied/$1/" "$root/requests/$1/" "$root/secrets/$1/"
    user "$2" "team-$1"
}

{
    known user root || etcdctl user add root --no-password
    etcdctl user grant-role root root
    controller
    admin
    for word in "$@"; do
        case $word in
        *:*) team "${word%%:*}" "${word#*:}" ;;
        *) node "$word" ;;
        esac
    done
    etcdctl auth enable
} >/dev/null
echo "etcd's users: $(etcdctl user list | tr '\n' ' ')"
