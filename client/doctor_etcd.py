"""Doctor's checks that need no cluster: etcd's members, their quota, and our certificates. Pure."""

from collections.abc import Iterator

from client.certificates import CertificateFile
from client.doctor_findings import Findings, Member
from client.doctor_verdicts import Check, fail, passed, warn

LATENCY_WARN_S = 0.1  # of a read; a fenced batch of writes takes about as long again
QUOTA_DEFAULT_BYTES = 2 * 2**30  # etcd's own, where it does not tell
QUOTA_WARN, QUOTA_FAIL = 0.7, 0.85
EXPIRES_SOON_S = 30 * 86_400.0


def check_etcd(found: Findings) -> Iterator[Check]:
    if found.store_error and not any(member.error for member in found.members):
        yield fail("etcd", f"etcd gives no answer: {found.store_error}", _etcd_remedy(found))
    for member in found.members:
        yield _member(member)
    leaders = {member.leader_id for member in found.members if not member.error}
    if len(leaders) > 1:
        yield fail(
            "etcd",
            f"the members name {len(leaders)} different leaders: they are not one cluster, or it is parted",
            "etcdctl endpoint status --cluster -w table",
        )


def _etcd_remedy(found: Findings) -> str:
    listed = ",".join(member.endpoint for member in found.members)
    return f"etcdctl --endpoints={listed} endpoint health" if listed else "name its endpoints with --etcd"


def _member(member: Member) -> Check:
    if member.error:
        return fail(
            "etcd",
            f"member {member.endpoint} gives no answer: {member.error}",
            f"etcdctl --endpoints={member.endpoint} endpoint health",
        )
    status = f"etcdctl --endpoints={member.endpoint} endpoint status -w table"
    if not member.leader_id:
        return fail("etcd", f"member {member.endpoint} knows no leader: there is no quorum", status)
    role = "leads" if member.leader_id == member.member_id else "follows"
    millis = member.latency_s * 1000
    text = f"member {member.endpoint} {role}, version {member.version}, answers in {millis:.0f} ms"
    if member.latency_s > LATENCY_WARN_S:
        return warn("etcd", f"{text}: slow", "look at its disk and network: etcdctl check perf")
    return passed("etcd", text)


def check_quota(found: Findings) -> Iterator[Check]:
    for member in found.members:
        if member.error:
            continue
        quota = member.quota_bytes or QUOTA_DEFAULT_BYTES
        share = member.db_size_bytes / quota
        told = "" if member.quota_bytes else ", if it is etcd's default"
        size = f"{member.db_size_bytes / 2**20:.1f} MiB, {share:.0%} of its quota{told}"
        text = f"the database of {member.endpoint} holds {size}"
        remedy = f"etcdctl --endpoints={member.endpoint} defrag; then: etcdctl alarm disarm"
        if member.alarms:
            yield fail("quota", f"{text}, and alarms: {', '.join(member.alarms)}", remedy)
        elif share >= QUOTA_WARN:
            yield (fail if share >= QUOTA_FAIL else warn)("quota", text, remedy)
        else:
            yield passed("quota", text)


def check_certificates(found: Findings) -> Iterator[Check]:
    for file in found.certificates:
        yield _certificate(file, found.now)


def _certificate(file: CertificateFile, now: float) -> Check:
    name, told = "certificates", f"--{file.use} {file.path}"
    another = (
        f"name another with --{file.use}, or in the context: berth config set-context NAME --{file.use} FILE"
    )
    if file.error:
        return fail(name, f"{told} can't be used: {file.error}", another)
    if file.problem:
        return fail(name, f"{told}: {file.problem}", another)
    if file.use == "key":
        if file.mode & 0o077:
            return fail(
                name, f"{told} may be read by others (mode {file.mode:04o})", f"chmod 600 {file.path}"
            )
        return passed(name, f"{told} is readable by its owner only")
    if now < file.not_before:
        return fail(name, f"{told} does not hold yet: check the clock of this machine", "date")
    left_s = file.not_after - now
    if left_s <= 0:
        return fail(name, f"{told} ({file.common_name}) expired {-left_s / 86_400:.0f} days ago", another)
    text = f"{told} ({file.common_name}) holds for {left_s / 86_400:.0f} more days"
    return warn(name, text, another) if left_s < EXPIRES_SOON_S else passed(name, text)
