# SPDX-License-Identifier: MIT
"""What an incident responder asks, against the guest's /proc: mappings, files, mounts, sockets, lists, stacks,
slab caches.

Part of the scenario `inspect`: MAKE_MOUNTS before the guest's tasks start, gather() at each moment, questions()
among the others, checks() of each source.
"""

import base64
import collections
import ipaddress
import re

from vmlab.errors import check

# Mounts of every sort: flags, a subtree, one on another, a name that /proc writes with escapes, a propagation group.
MAKE_MOUNTS = r"""
mkdir -p /lab/first /lab/bound '/lab/with space' /lab/over /lab/shared
mount -t tmpfs -o nosuid,nodev,noexec,size=1m 'lab source' /lab/first
mkdir -p /lab/first/sub/below; echo text >/lab/first/sub/below/file
mount -o bind /lab/first/sub /lab/bound
mount -t tmpfs -o noatime none '/lab/with space'
mount -t tmpfs -o ro,nodiratime under /lab/over
mount -t tmpfs over /lab/over
mount -t tmpfs shared /lab/shared; mount --make-shared /lab/shared
"""
OWNER = "opener"  # whose mappings and files are asked for
SUPER_OPTIONS = ("rw", "ro", "sync", "dirsync", "mand", "lazytime")
SOCKET_TABLES = ("tcp", "tcp6", "udp", "udp6", "raw", "unix", "netlink", "packet")
STATES = ("ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT",
          "LAST_ACK", "LISTEN", "CLOSING")
RESTLESS = ("sh", "rcu", "kworker/", "ksoftirqd/", "kcompactd")
TYPES = ("stream", "dgram", "raw", "rdm", "seqpacket")
# busybox has no way to write a link's text as it is but this one.
GATHER = r"""
cat /proc/%(pid)d/maps >%(folder)s/maps; cat /proc/1/mountinfo >%(folder)s/mountinfo
cat /proc/slabinfo >%(folder)s/slabinfo; cat /proc/filesystems >%(folder)s/filesystems
for table in %(tables)s; do cat /proc/net/$table >%(folder)s/net_$table; done
grep . /proc/[0-9]*/stack >%(folder)s/stacks
cd /proc/%(pid)d/fdinfo
for fd in *; do echo "== $fd"; cat $fd; done >%(folder)s/fdinfo
cd ../fd
for fd in * ../cwd ../root ../exe; do printf '%%s\t' $fd; readlink -n $fd | base64 -w 0; echo; done >%(folder)s/links
cd /
"""


def gather(stage, folder):
    """The guest's commands that add to `folder` what its /proc says."""
    return GATHER % {"pid": stage.tasks[OWNER], "folder": folder, "tables": " ".join(SOCKET_TABLES)}


def questions(stage):
    """Shell text by name, as stage.questions_about()'s."""
    return {"maps": f"$K maps {stage.tasks[OWNER]} --json $F", "files": f"$K files {stage.tasks[OWNER]} --json $F",
            "mounts": "$K mounts --json $F", "sockets": "$K sockets --json $F",
            "list_modules": "$K list 'struct module.list@modules' --show name --json $F",
            "list_tasks": "$K list 'struct task_struct.tasks@init_task.tasks' --show pid,comm --json $F",
            "stacks": "$K bt --all --json $F", "cpu": "$K bt --cpu 1 --json $F",
            "slab": "$K slab --json $F", "check": "$K check --json $F"}


# What only files are asked: a guest is slow.
FILE_QUESTIONS = {
    "list_pids": "$K list 'struct pid@struct pid_namespace@init_pid_ns.idr' --json $F",
    "list_types": "$K list 'struct file_system_type.next@file_systems' --show name --json $F 2>/dev/null ||\n"
                  "$K list 'struct file_system_type.list@file_systems' --show name --json $F",  # an hlist since 7.x
    "slab_task": "$K slab $($K list 'struct task_struct.tasks@init_task.tasks' --max 1 $F | tail -n 1) --json $F"}


def checks(answers, before, after):
    """What is to be checked of one source, as functions. `before` and `after` are folders that gather() filled."""
    yield lambda: check_maps(answers, before, after)
    yield lambda: check_files(answers, before, after)
    yield lambda: check_mounts(answers, before, after)
    yield lambda: check_sockets(answers, before, after)
    yield lambda: check_lists(answers, read(before, "filesystems"))
    yield lambda: check_stacks(answers, before, after)
    yield lambda: check_cpu(answers)
    yield lambda: check_slab(answers, before, after)


def unescape(text):
    r"""What /proc writes as \040 and the like, as text."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def read(folder, name):
    """A file that gather() left."""
    return (folder / name).read_bytes().decode(errors="replace")


def check_lines(what, got, right, later):
    """What stands still is told in full, in its order."""
    check(right == later, f"{what} changed in the guest")
    wrong = next(((ours, theirs) for ours, theirs in zip(got, right) if ours != theirs), None)
    check(got == right, f"{what}: {len(got)}, the guest has {len(right)}; the first that differs (said, right): "
          f"{wrong}")
    return f"{len(right)} {what}"


def check_maps(answers, before, after):
    """Every line of /proc/PID/maps."""
    got = [mapping_words(mapping) for mapping in answers.ask("maps").json()["mappings"]]
    return check_lines("mappings", got, parse_maps(read(before, "maps")), parse_maps(read(after, "maps")))


def parse_maps(text):
    """(start, end, permissions, offset, device, inode, name) of each line of /proc/PID/maps."""
    mappings = []
    for line in text.splitlines():
        words = line.split(None, 5)
        start, end = (int(part, 16) for part in words[0].split("-"))
        major, minor = (int(part, 16) for part in words[3].split(":"))
        mappings.append((start, end, words[1], int(words[2], 16), f"{major}:{minor}", int(words[4]),
                         unescape(words[5]) if len(words) > 5 else ""))
    return mappings


def mapping_words(mapping):
    """A mapping of the product's JSON, as parse_maps() has it."""
    name = (mapping["name"] or "") + (" (deleted)" if mapping["deleted"] else "")
    return (int(mapping["start"], 16), int(mapping["end"], 16), mapping["permissions"], int(mapping["offset"], 16),
            mapping["device"], mapping["inode"], name)


def check_files(answers, before, after):
    """Every link of /proc/PID/fd, cwd, root and exe, and every fdinfo."""
    files = answers.ask("files").json()["files"]
    got = {("../" + file["role"] if file["role"] else str(file["descriptor"])):
           (file["path"] or "") + (" (deleted)" if file["deleted"] else "") for file in files}
    right, later = (parse_links(read(folder, "links")) for folder in (before, after))
    text = check_lines("files", sorted(got.items()), sorted(right.items()), sorted(later.items()))
    infos = parse_fdinfo(read(before, "fdinfo"))
    for file in files:
        if file["descriptor"] is None:
            continue
        info = infos[file["descriptor"]]
        said = {"pos": str(file["position"]), "flags": file["flags"], "ino": str(file["inode"])}
        # Up to 5.13 there is no inode in fdinfo.
        check(all(said[key] == info[key] for key in said if key in info), f"files: {file}, fdinfo says {info}")
    return text


def parse_links(text):
    """Targets by name of the link."""
    links = (line.split("\t") for line in text.splitlines())
    return {name: base64.b64decode(target).decode(errors="replace") for name, target in links}


def parse_fdinfo(text):
    """What each descriptor's file says first: position, flags, mount and inode."""
    infos = {}
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == "==":
            info = infos[int(value)] = {}
        else:
            key, _, value = line.partition(":")
            info.setdefault(key, value.strip())
    return infos


def check_mounts(answers, before, after):
    """Every line of /proc/1/mountinfo, without what each type of file system adds of its own."""
    mounts = answers.ask("mounts").json()["mounts"]
    got = [mount_words(mount) for mount in mounts if mount["visible"]]
    return check_lines("mounts", got, *(parse_mountinfo(read(folder, "mountinfo")) for folder in (before, after)))


def parse_mountinfo(text):
    """(id, parent, device, root, place, options, propagation, type, source, the file system's options) of each."""
    mounts = []
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        words, rest = left.split(" "), right.split(" ")
        mounts.append((int(words[0]), int(words[1]), words[2], unescape(words[3]), unescape(words[4]),
                       words[5].split(","), words[6:], rest[0], unescape(rest[1]),
                       [option for option in rest[2].split(",") if option in SUPER_OPTIONS]))
    return mounts


def mount_words(mount):
    """A mount of the product's JSON, as parse_mountinfo() has it."""
    propagation = [f"{kind}:{mount[f'{kind}_group']}" for kind in ("shared", "master") if mount[f"{kind}_group"]]
    return (mount["id"], mount["parent_id"], mount["device"], mount["root"], mount["mount_point"], mount["options"],
            propagation, mount["type"], mount["source"], mount["super_options"])


def check_sockets(answers, before, after):
    """Every line of /proc/net's tables, and who has the opener's sockets."""
    sockets = answers.ask("sockets").json()["sockets"]
    counts = []
    for table in SOCKET_TABLES:
        right, later = (collections.Counter(parse_sockets(table, read(folder, f"net_{table}")))
                        for folder in (before, after))
        got = collections.Counter(socket_words(table, socket) for socket in sockets
                                  if socket["listed"] and socket["protocol"] == table)
        # Connections that end are forgotten in time.
        lost, invented = (right & later) - got, got - (right | later)
        check(right and not lost and not invented, f"sockets: of {len(right)} in /proc/net/{table} it lacks "
              f"{list(lost)}; of its own it has {list(invented)}")
        counts.append(f"{sum(right.values())} {table}")
    links = parse_links(read(before, "links"))
    right = {int(name): int(target[8:-1]) for name, target in links.items() if target.startswith("socket:")}
    got = {owner["descriptor"]: socket["inode"] for socket in sockets for owner in socket["owners"]
           if owner["comm"] == "guest_tasks"}
    check(got == right, f"sockets: of the opener's descriptors (inodes) {got}, the guest says {right}")
    return ", ".join(counts) + f" sockets, {len(right)} of the opener"


def parse_sockets(table, text):
    """What each line of a table of /proc/net tells, in a tuple."""
    lines = [line.split() for line in text.splitlines()[1:]]
    if table == "unix":
        return [(TYPES[int(words[4], 16) - 1], words[3] == "00010000", int(words[6]),
                 " ".join(words[7:])) for words in lines]
    if table == "netlink":
        return [(int(words[1]), int(words[2]), int(words[9])) for words in lines]
    if table == "packet":
        return [(TYPES[int(words[2]) - 1], int(words[3], 16), int(words[4]), int(words[8])) for words in lines]
    return [(*parse_end(words[1]), *parse_end(words[2]), STATES[int(words[3], 16) - 1], int(words[7]), int(words[9]))
            for words in lines]


def parse_end(text):
    """Address and port of "0100007F:10E1", whose words of 32 bits are in the machine's order."""
    address, port = text.split(":")
    data = b"".join(bytes.fromhex(address[at:at + 8])[::-1] for at in range(0, len(address), 8))
    return str(ipaddress.ip_address(data)), int(port, 16)


def socket_words(table, socket):
    """A socket of the product's JSON, as parse_sockets() has it."""
    inode = socket["inode"] or 0
    if table == "unix":
        return socket["type"], socket["state"] == "LISTEN", inode, socket["local"] or ""
    if table == "netlink":
        return socket["netlink_protocol"], signed(socket["local_port"]), inode
    if table == "packet":
        return socket["type"], socket["local_port"], socket["remote_port"], inode
    state = "CLOSE" if socket["state"] == "UNCONNECTED" else socket["state"]
    return (str(ipaddress.ip_address(socket["local"])), socket["local_port"],
            str(ipaddress.ip_address(socket["remote"])), socket["remote_port"], state, socket["uid"] or 0, inode)


def signed(number):
    """A port id, as /proc/net/netlink writes those that the kernel chose."""
    return number - (1 << 32) if number >> 31 else number


def check_lists(answers, filesystems):
    """`list` gives the modules of `mod`, the processes of `ps`, but for those that come and go, and /proc/filesystems.
    """
    got = [entry["values"]["name"]["value"] for entry in answers.ask("list_modules").json()["entries"]]
    right = [module["name"] for module in answers.ask("mod").json()["modules"]]
    check(got == right, f"list of modules: {got}, mod says {right}")
    got = {(int(entry["address"], 16), entry["values"]["pid"]["value"], entry["values"]["comm"]["value"])
           for entry in answers.ask("list_tasks").json()["entries"]}
    right = {(int(task["address"], 16), task["pid"], task["comm"])
             for task in answers.ask("processes").json()["tasks"]}
    passing = {task for task in got ^ right if answers.name == "live" and
               (task[2] in ("kcoredump", "sh") or task[2].startswith("kworker/"))}
    check(got - passing == right - passing and len(got) > 20, f"list of tasks: {got - right}, ps says {right - got}")
    if answers.name == "live":
        return f"{len(got)} processes by list"
    numbers = {entry["index"] for entry in answers.ask("list_pids").json()["entries"]}
    lost = {task for task in right - passing if task[1] not in numbers}
    check(not lost, f"list of pids lacks {lost}")
    types = [entry["values"]["name"]["string"] for entry in answers.ask("list_types").json()["entries"]]
    check(types == [line.split("\t")[-1] for line in filesystems.splitlines()], f"list of file systems: {types}")
    return f"{len(got)} processes, {len(numbers)} pids and {len(types)} file systems by list"


def check_stacks(answers, before, after):
    """Every stack of /proc/PID/stack that stood still."""
    stacks = {stack["pid"]: stack for stack in answers.ask("stacks").json()["stacks"]}
    right, later = (parse_stacks(read(folder, "stacks")) for folder in (before, after))
    # What a CPU runs just now rests in neither look, but for whoever looks.
    running = {pid for pid, stack in stacks.items()
               if not stack["frames"] or stack["frames"][0]["found_by"] != "switch"}
    resting = {pid: frames for pid, frames in right.items()
               if later.get(pid) == frames and pid in stacks and pid not in running}
    wrong = {}
    for pid, frames in resting.items():
        got = [frame["symbol"] for frame in stacks[pid]["frames"] if not frame["in_scheduler"]]
        if got != frames:
            wrong[pid] = (stacks[pid]["comm"], got, frames, stacks[pid]["trouble"])
    # The agent's shell and kernel threads with a timer run between the two looks, and are back where they were.
    passing = {pid for pid, words in wrong.items() if words[0].startswith(RESTLESS)}
    wrong = {pid: words for pid, words in wrong.items() if pid not in passing}
    check(len(resting) > 30 and len(running) < 8 and len(passing) <= 4 and not wrong,
          f"bt: of {len(resting)} stacks these differ (name, said, right, trouble): {list(wrong.values())[:3]}")
    ways = collections.Counter(frame["found_by"] for pid in resting.keys() - passing for frame in stacks[pid]["frames"])
    check(ways["orc"] > len(resting) and not ways["guess"], f"bt: frames were found so: {dict(ways)}")
    return f"{len(resting) - len(passing)} stacks"


def parse_stacks(text):
    """Frames by pid, of lines as "/proc/1/stack:[<0>] do_wait+0x5e/0x280"."""
    stacks = collections.defaultdict(list)
    for line in text.splitlines():
        path, _, frame = line.partition(":[<0>] ")
        stacks[int(path.split("/")[2])].append(re.sub(r"/0x[0-9a-f]+", "", frame))
    return stacks


def check_cpu(answers):
    """A hypervisor's dump has the registers of its CPUs; a live kernel's memory has not."""
    if answers.name != "dump without VMCOREINFO":
        answer = answers.ask("cpu")
        check(answer.status == 2 and "no registers of CPU 1" in answer.messages,
              f"bt --cpu 1 exits {answer.status}: {answer.messages}")
        return "no registers of CPUs"
    frames = answers.ask("cpu").json()["stacks"][0]["frames"]
    check(frames and frames[0]["found_by"] == "registers", f"bt --cpu 1: {frames}")
    kernel = int(frames[0]["pc"], 16) >> 63 != 0
    check(not kernel or (len(frames) > 2 and all(frame["symbol"] for frame in frames)), f"bt --cpu 1: {frames}")
    return f"{len(frames)} frames of a CPU"


def check_slab(answers, before, after):
    """Every cache of /proc/slabinfo, with its sizes; and its counts, where they stood still."""
    # Slabs that come and go while memory is captured are said to be damaged: exit status 3.
    answer = answers.ask("slab")
    caches = {cache["name"]: cache for cache in answer.json(answer.status if answer.status == 3 else 0)["caches"]}
    right, later = (parse_slabinfo(read(folder, "slabinfo")) for folder in (before, after))
    wrong = {name: (slab_sizes(caches[name]), sizes) for name, (sizes, _) in right.items()
             if name in caches and slab_sizes(caches[name]) != sizes}
    check(caches.keys() == right.keys() and not wrong, f"slab: sizes (said, right) {wrong}, names that differ "
          f"{caches.keys() ^ right.keys()}")
    resting = {name: counts for name, (_, counts) in right.items() if later.get(name, ((), ()))[1] == counts}
    wrong = {name: counts for name, counts in resting.items() if slab_counts(caches[name]) != counts}
    check(len(resting) > 50 and len(wrong) <= len(resting) // 5,
          f"slab: of {len(resting)} caches that stood still {wrong} differ")
    if answers.name != "live":
        found = answers.ask("slab_task").json()
        check(found["caches"][0]["name"] == "task_struct" and found["object"]["offset"] == 0,
              f"slab: a task_struct is in {found}")
    return f"{len(resting)} slab caches, {len(wrong)} of them touched meanwhile"


def parse_slabinfo(text):
    """By name: (size, objects and pages of a slab), (active objects, all objects, slabs)."""
    caches = {}
    for words in map(str.split, text.splitlines()[2:]):
        caches[words[0]] = (tuple(map(int, words[3:6])), (int(words[1]), int(words[2]), int(words[14])))
    return caches


def slab_sizes(cache):
    """A cache of the product's JSON, as parse_slabinfo() has it."""
    return cache["size_bytes"], cache["objects_a_slab"], cache["pages_a_slab"]


def slab_counts(cache):
    """A cache of the product's JSON, as parse_slabinfo() has it."""
    return cache["active"], cache["objects"], cache["slabs"]
