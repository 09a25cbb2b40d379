"""Jobs and CronJobs on the command line: tables, describe, create job."""

from typing import Any

from schemas.keys import ObjectRef
from tests.cli.helpers import Shell
from tests.client.helpers import KEYS, World, make_object

TEMPLATE = {"spec": {"containers": [{"name": "main", "image": "demo:1"}], "restartPolicy": "Never"}}


def cron(**spec: Any) -> dict[str, Any]:
    job = {"metadata": {"labels": {"app": "backup"}}, "spec": {"template": TEMPLATE, "backoffLimit": 2}}
    return make_object("CronJob", "nightly", schedule="30 2 * * *", jobTemplate=job, **spec)


def say(world: World, plural: str, name: str, **status: Any) -> None:
    """Write a status as the leader would."""
    ref = ObjectRef(plural, "default", name)
    uid = world.json_at(KEYS.spec(ref))["metadata"]["uid"]
    kind = {"jobs": "JobStatus", "cronjobs": "CronJobStatus"}[plural]
    world.put(KEYS.status(ref), {"kind": kind, "uid": uid, **status})


def done(kind: str) -> list[dict[str, str]]:
    return [{"type": kind, "status": "True", "reason": "BackoffLimitExceeded", "message": "4 failures"}]


def test_table_of_jobs_says_how_far_they_are(world: World, berth: Shell) -> None:
    for name in ("a", "b", "c"):
        world.apply(make_object("Job", name, template=TEMPLATE, completions=3))
    began, ended = "2027-01-15T07:50:00Z", "2027-01-15T07:52:30Z"
    say(world, "jobs", "b", succeeded=1, completions=3, startedAt=began)
    say(world, "jobs", "c", completions=3, startedAt=began, finishedAt=ended, conditions=done("Failed"))
    assert [line[:40].rstrip() for line in berth("get", "jobs").lines] == [
        "NAME   STATUS    COMPLETIONS   DURATION",
        "a      Running   0/3",
        "b      Running   1/3           10m",
        "c      Failed    0/3           2m30s",
    ]
    assert "demo:1" in berth("get", "jobs", "-o", "wide").lines[1]


def test_table_of_cronjobs_says_when_they_ran(world: World, berth: Shell) -> None:
    world.apply(cron(timeZone="Europe/Berlin"))
    say(world, "cronjobs", "nightly", active=["nightly-1"], lastScheduleTime="2027-01-15T01:30:00Z")
    assert [line[:71].rstrip() for line in berth("get", "cronjobs").lines] == [
        "NAME      SCHEDULE     TIMEZONE        SUSPEND   ACTIVE   LAST SCHEDULE",
        "nightly   30 2 * * *   Europe/Berlin   False     1        6h30m",
    ]


def test_describe_cronjob_shows_the_next_three_runs_in_its_zone(world: World, berth: Shell) -> None:
    world.apply(cron(timeZone="Europe/Berlin"))
    shown = berth("describe", "cronjob", "nightly")
    assert shown.code == 0, shown.err
    assert [
        line.strip().removeprefix("Next Runs:").strip() for line in shown.lines if "02:30:00" in line
    ] == [
        "Sat, 16 Jan 2027 02:30:00 +0100",
        "Sun, 17 Jan 2027 02:30:00 +0100",
        "Mon, 18 Jan 2027 02:30:00 +0100",
    ]


def test_suspended_cronjob_has_no_next_run(world: World, berth: Shell) -> None:
    world.apply(cron(suspend=True))
    assert "as it is suspended" in berth("describe", "cronjob", "nightly").out


def test_describe_job_shows_counts_and_why_it_failed(world: World, berth: Shell) -> None:
    world.apply(make_object("Job", "a", template=TEMPLATE, completions=3, completionMode="Indexed"))
    say(world, "jobs", "a", succeeded=2, failed=4, completedIndexes="0-1", conditions=done("Failed"))
    shown = berth("describe", "job", "a").out
    assert "0 Active (0 Ready) / 2 Succeeded / 4 Failed" in shown
    assert "BackoffLimitExceeded" in shown
    assert "0-1" in shown


def test_create_job_from_a_cronjob_takes_its_template(world: World, berth: Shell) -> None:
    world.apply(cron())
    assert berth("create", "job", "now", "--from=cronjob/nightly").out == "job/now created\n"
    made = world.json_at(KEYS.spec(ObjectRef("jobs", "default", "now")))
    assert made["spec"] == {"template": TEMPLATE, "backoffLimit": 2}
    assert made["metadata"]["labels"] == {"app": "backup"}
    assert made["metadata"]["annotations"]["berth/instantiate"] == "manual"
    again = berth("create", "job", "now", "--from=cj/nightly")
    assert (again.code, again.out) == (1, "")
    assert "already exists" in again.err


def test_create_job_of_an_image_runs_the_command_behind_the_dashes(world: World, berth: Shell) -> None:
    answer = berth("create", "job", "pi", "--image", "demo:1", "--", "sh", "-c", "echo -n 3")
    assert answer.out == "job/pi created\n", answer.err
    made = world.json_at(KEYS.spec(ObjectRef("jobs", "default", "pi")))
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert container == {"name": "pi", "image": "demo:1", "command": ["sh", "-c", "echo -n 3"]}


def test_dry_run_prints_the_job_and_writes_nothing(world: World, berth: Shell) -> None:
    answer = berth("create", "job", "pi", "--image=demo:1", "--dry-run", "-o", "json")
    assert answer.json["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    assert berth("create", "job", "pi", "--image=demo:1", "--dry-run").out == "job/pi created (dry run)\n"
    assert world.keys_under("/berth/spec/default/jobs") == []


def test_bad_sources_are_told(world: World, berth: Shell) -> None:
    for arguments, told in (
        ((), "give either --from"),
        (("--from=cronjob/a", "--image=b"), "give either --from"),
        (("--from=cronjob/none",), 'cronjobs "none" not found'),
        (("--from=job/x",), "--from=cronjob/NAME"),
        (("--from=nightly",), 'no kind "nightly"'),
    ):
        answer = berth("create", "job", "j", *arguments)
        assert (answer.code, answer.out) == (1, ""), arguments
        assert told in answer.err, answer.err
