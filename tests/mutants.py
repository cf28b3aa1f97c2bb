"""Changes the code of a module in small ways, one at a time, and says which of the changes no test notices.

    python3 tests/mutants.py --at COPY --run "-p gan-train --lib -- checkpoint::" crates/gan-train/src/checkpoint*

All changes are written into one copy of the repository, `if mutant(17) { changed } else { as it is }`, which is built once; a variable of the environment
says which of them is on. Changes that do not compile are taken out, by the places that the compiler names. Code of tests, macros, constants and attributes
is left as it is. COPY/target may be a copy of a build: what does not change is not compiled again then.
"""

import argparse
import glob
import json
import os
import random
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOKEN = re.compile(
    r"""(?P<skip>\s+|//[^\n]*|/\*.*?\*/)
    |(?P<text>b?r(?P<hashes>\#*)".*?"(?P=hashes)|[bc]?"(?:\\.|[^"\\])*"|b?'(?:\\(?:x..|u\{[^}]*\}|.)|[^'\\])')
    |(?P<life>'\w+)|(?P<number>\d\w*(?:\.\d\w*)?(?:(?<=e)-\d+)?)|(?P<name>(?:r\#)?[A-Za-z_]\w*)
    |(?P<op><<=|>>=|\.\.=|=>|->|==|!=|<=|>=|&&|\|\||[-+*/%^&|]=|::|\.\.|<<|>>|.)""",
    re.S | re.X,
)
STRENGTH = {op: level for level, ops in enumerate(
    ["= += -= *= /= %= ^= &= |= <<= >>=", ".. ..=", "||", "&&", "== != < <= > >=", "|", "^", "&", "<< >>", "+ -", "* / %"]
) for op in ops.split()}
OPERATORS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "+": "-", "-": "+", "*": "/", "/": "*", "%": "/",
             "&&": "||", "||": "&&", "+=": "-=", "-=": "+=", "*=": "/=", "<<": ">>", ">>": "<<", "&": "|", "|": "&"}
METHODS = {"min": "max", "any": "all", "is_some": "is_none", "is_ok": "is_err", "starts_with": "ends_with", "first": "last"}
METHODS |= {new: old for old, new in METHODS.items()}
KEYWORDS = set("as async await break const continue else enum extern fn for if impl in let loop match mod move mut pub ref return static "
               "struct trait type unsafe use where while yield macro_rules".split())
# Begins of types and what a function of them returns instead.
RETURNS = [("bool", ["true", "false"]), ("Option<", ["None"]), (r"(io::)?Result<\(\)", ["Ok(())"]), (r"(io::)?Result<Option<", ["Ok(None)"]),
           (r"(io::)?Result<bool", ["Ok(true)", "Ok(false)"]), (r"(usize|u64|u32|String|Vec<)", ["Default::default()"]),
           (r"(io::)?Result<(usize|u64|u32|String|Vec<)", ["Ok(Default::default())"])]
FUNCTION = """
/// Whether this change is on.
#[allow(missing_docs, unreachable_pub)]
pub fn mutant(number: u32) -> bool {
    static ON: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    *ON.get_or_init(|| std::env::var("GAN_MUTANT").map_or(0, |on| on.parse().unwrap_or(0))) == number
}
"""


class Source:
    """The tokens of a file, and the changes that can be made to it. Bytes are read as characters, for the compiler counts bytes."""

    def __init__(self, path):
        self.path, self.code = path, (ROOT / path).read_bytes().decode("latin-1")
        self.tokens = [m for m in TOKEN.finditer(self.code) if m.lastgroup != "skip"]
        self.text = [m.group() for m in self.tokens]
        self.pair, open_ = {}, []
        for i, (text, token) in enumerate(zip(self.text, self.tokens)):
            if token.lastgroup == "op" and text in "([{":
                open_.append(i)
            elif token.lastgroup == "op" and text in ")]}":
                self.pair[i] = open_.pop()
                self.pair[self.pair[i]] = i
        self.left_alone = self.find_left_alone()

    def at(self, i):
        return self.text[i] if 0 <= i < len(self.text) else ""

    def find_left_alone(self):
        """Tokens that are never changed: attributes, macros, constants, and what other systems or tests compile."""
        alone, i = set(), 0
        while i < len(self.text):
            end = i
            if self.at(i) == "#" and "[" in (self.at(i + 1), self.at(i + 2)):
                end = self.pair[i + 1 + (self.at(i + 1) == "!")]
                if re.match(r"#\[cfg\(.*(test|not|feature|windows|cuda)", "".join(self.text[i:end])):
                    end = self.end_of_item(end + 1)
            elif self.at(i + 1) == "!" and i + 2 in self.pair or self.at(i) == "macro_rules":
                end = self.end_of_item(i) if self.at(i) == "macro_rules" else self.pair[i + 2]
            elif self.at(i) in ("const", "static") and (self.at(i + 1) == "fn" or self.at(i + 2) == ":"):
                end = self.end_of_item(i)
            if end > i:
                alone.update(range(i, end + 1))
            i = end + 1
        return alone

    def end_of_item(self, i):
        while i < len(self.text) and self.at(i) not in (";", ",", "{"):
            i = self.pair[i] + 1 if self.at(i) in "([" else i + 1
        return self.pair.get(i, i)

    def spaced(self, i):
        """Whether it stands between spaces, as rustfmt writes an operator of two operands."""
        token = self.tokens[i]
        return self.code[token.start() - 1].isspace() and self.code[token.end()].isspace()

    def ends(self, i, level):
        """Whether an operand of an operator of `level` cannot go on over token i."""
        text = self.at(i)
        if text in (",", ";", ":", "=>", "->", "@", "#", "..", "..=", ""):
            return True
        if text in KEYWORDS - {"as", "mut", "await"} or text == "|" and not self.spaced(i):
            return True
        return self.spaced(i) and STRENGTH.get(text, 99) < level

    def operands(self, i):
        """Indices of the first and the last token of the expression whose operator is token i."""
        level = STRENGTH[self.at(i)]
        first, last = i, i
        while not self.ends(first - 1, level) and self.at(first - 1) not in ("{", "(", "[", "}"):
            first = self.pair.get(first - 1, first - 1)
        while not self.ends(last + 1, level + (level > 0)) and self.at(last + 1) not in (")", "]", "}", "{"):
            last = self.pair.get(last + 1, last + 1)
        return (first, last) if first < i < last else None

    def postfix(self, i):
        """The last token of what follows a value at i: calls, fields, indices, question marks."""
        i = self.pair.get(i, i)
        while True:
            if self.at(i + 1) in (".", "::"):
                i += 2
            elif self.at(i + 1) in ("(", "[", "?"):
                i = self.pair.get(i + 1, i + 1)
            else:
                return i

    def receiver(self, dot):
        """The first token of the value in front of a dot."""
        first = dot
        while True:
            before = self.pair.get(first - 1, first - 1)
            if self.at(first - 1) in ("?", ".", "::") or self.at(first - 1) in (")", "]"):
                first = before
            elif self.tokens[first - 1].lastgroup in ("name", "number", "text") and self.at(first - 1) not in KEYWORDS:
                first -= 1
                if self.at(first - 1) not in (".", "::"):
                    return first
            else:
                return first

    def in_pattern(self, i):
        """Whether a number is part of a pattern: an arm's, in front of its condition, or that of a `let`."""
        while i < len(self.text):
            if self.at(i) == "=>":
                return True
            if self.at(i) in (",", ";", "{", "}", "if", "&&") or self.at(i) == "=" and self.spaced(i):
                return self.at(i) == "="
            if self.at(i) in (")", "]") and self.pair[i] < i:
                # Out of the group, whose commas have been passed over.
                return self.in_pattern(i + 1)
            i = self.pair.get(i, i) + 1
        return False

    def condition(self, i):
        """The last token of the condition after `if` or `while`; none where it binds names."""
        last = i
        while self.at(last + 1) not in ("{", "=>", ""):
            if self.at(last + 1) == "let":
                return None
            last = self.pair.get(last + 1, last + 1)
        return last

    def changes(self):
        """Every change: kind, span of tokens, the new text; `None` as a span's end is an insertion behind its first token."""
        for i, text in enumerate(self.text):
            if i not in self.left_alone:
                yield from self.changes_at(i, text)

    def changes_at(self, i, text):
        source, token = self.source, self.tokens[i]
        if token.lastgroup == "op" and text in OPERATORS and self.spaced(i):
            whole = self.operands(i)
            bound = re.match(r"'|[A-Z]\w*[a-z]", self.at(i + 1)) and self.at(i + 2) != "::" and text in "+|"
            binds = text in ("&&", "||") and self.binds_before(i)
            if whole and not bound and not binds:
                start, end = whole
                changed = f"{source(start, i - 1)} {OPERATORS[text]} {source(i + 1, end)}"
                yield "operator", start, end, changed
        elif text == "!" and (self.at(i + 1) == "(" or self.tokens[i + 1].lastgroup == "name") and self.tokens[i - 1].lastgroup != "name":
            yield "negation", i, self.postfix(i + 1), source(i + 1, self.postfix(i + 1))
        elif token.lastgroup == "number" and re.fullmatch(r"(0x[\da-fA-F_]+|[\d_]+)([iu](\d+|size))?", text):
            digits, suffix = re.fullmatch(r"(0x[\da-fA-F_]+|[\d_]+)([iu].*)?", text).groups()
            generic = self.at(i - 1) == "<" and not self.spaced(i - 1)
            if self.at(i - 1) != "." and not generic and not self.in_pattern(i):
                yield "constant", i, i, str(int(digits.replace("_", ""), 0) + 1) + (suffix or "")
        elif text in ("if", "while") and (last := self.condition(i)):
            yield "condition", i + 1, last, f"!({source(i + 1, last)})"
        elif text in METHODS and self.at(i - 1) == "." and self.at(i + 1) == "(":
            start, end = self.receiver(i - 1), self.pair[i + 1]
            yield "method", start, end, f"{source(start, i - 1)}{METHODS[text]}{source(i + 1, end)}"
        elif text == "fn" and self.tokens[i + 1].lastgroup == "name":
            yield from self.returned(i)
        elif text == "matches" and self.at(i + 1) == "!":
            yield "negation", i, self.pair[i + 2], "!" + source(i, self.pair[i + 2])
        if self.at(i - 1) in (";", "{", "}") and token.lastgroup == "name" and text not in KEYWORDS and self.at(i + 1) not in ("!", ":"):
            end = i
            while self.at(end) not in (",", ";", "=>", "{", "}", ""):
                end = self.pair.get(end, end) + 1
            if self.at(end) == ";" and end > i + 1:
                yield "statement", i, end, ""

    def binds_before(self, i):
        """Whether `let` stands in front, in the same condition."""
        while i > 0 and self.at(i - 1) not in (";", "{", "}", "(", "[", ","):
            i = self.pair.get(i - 1, i - 1)
            if self.at(i) == "let" and self.at(i - 1) in ("if", "while", "&&"):
                return True
        return False

    def returned(self, i):
        body = i
        while self.at(body) not in ("{", ";", ""):
            body = self.pair.get(body, body) + 1 if self.at(body) in ("(", "[") else body + 1
        if self.at(body) != "{":
            return
        signature = "".join(self.text[i:body]).split("where")[0]
        if "->" not in signature:
            yield "returned", body, None, "return;"
            return
        for pattern, values in RETURNS:
            if re.match(pattern, signature.rsplit("->", 1)[1]):
                for value in values:
                    yield "returned", body, None, f"return {value};"

    def source(self, first, last):
        return self.code[self.tokens[first].start():self.tokens[last].end()]


class Site:
    """A change that was drawn."""

    def __init__(self, source, kind, first, last, changed):
        self.source, self.kind, self.changed = source, kind, changed
        self.start = source.tokens[first].start() if last is not None else source.tokens[first].end()
        self.end = source.tokens[last].end() if last is not None else self.start
        self.number, self.placed = 0, (0, 0)

    def __str__(self):
        line = self.source.code.count("\n", 0, self.start) + 1
        old = " ".join(self.source.code[self.start:self.end].split())
        new = " ".join(self.changed.split()) or "nothing"
        return f"{self.source.path}:{line}: {self.kind}: {f'`{old}` is ' if old else ''}`{new}`".encode("latin-1").decode()

    def inside(self, other):
        return (self.start, self.end) != (other.start, other.end) and other.start <= self.start and self.end <= other.end

    def overlaps(self, other):
        """Whether two share code though neither holds the other; of changes of the same code, one is enough."""
        shared = max(self.start, other.start) < min(self.end, other.end)
        return self.source is other.source and shared and not (self.inside(other) or other.inside(self))


def render(source, sites, start, end, placed):
    """The code between two places with its changes; `placed` is where it comes to stand."""
    out, at = "", start
    order = sorted((s for s in sites), key=lambda s: (s.start, -s.end, -s.number))
    while order:
        site = order.pop(0)
        inner = [s for s in order if s.start >= site.start and s.end <= site.end and site.end > site.start]
        order = [s for s in order if s not in inner]
        out += source.code[at:site.start]
        begin = placed + len(out)
        if site.end == site.start:
            head, tail = f" if crate::mutant({site.number}) {{ {site.changed} }}", ""
        elif site.kind == "statement":
            head, tail = f"if crate::mutant({site.number}) {{}} else {{ ", " }"
        else:
            head, tail = f"(if crate::mutant({site.number}) {{ {site.changed} }} else {{ ", " })"
        out += head + render(source, inner, site.start, site.end, begin + len(head)) + tail
        site.placed = (begin, placed + len(out))
        at = site.end
    return out + source.code[at:end]


def write_if_other(path, content):
    """Leaves the date of a file that is right already."""
    if not path.exists() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return True
    return False


def copy_tree(to):
    """What git knows, and the rest it does not ignore, each with its date."""
    listed = subprocess.run(["git", "ls-files", "-zco", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (ROOT / name).is_file() and write_if_other(to / name, (ROOT / name).read_bytes()):
            stat = (ROOT / name).stat()
            os.utime(to / name, ns=(stat.st_atime_ns, stat.st_mtime_ns if not (to / "mutated").exists() else time.time_ns()))
    (to / "mutated").touch()


def write_changes(to, sources, sites):
    for source in sources:
        own = [site for site in sites if site.source is source]
        write_if_other(to / source.path, render(source, own, 0, len(source.code), 0).encode("latin-1"))
    for crate in {Path(*source.path.parts[:2]) for source in sources}:
        library = to / crate / "src/lib.rs"
        if b"fn mutant(" not in library.read_bytes():
            library.write_bytes(library.read_bytes() + FUNCTION.encode())


def build(to, run):
    """The programs of a run, or the compiler's errors as lists of (path, from, to)."""
    command = ["cargo", "test", "--no-run", "--message-format=json", *run[0]]
    done = subprocess.run(command, cwd=to, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith(b"{")]
    errors = [m["message"] for m in messages if m["reason"] == "compiler-message" and m["message"]["level"] == "error"]
    programs = [(m["executable"], Path(m["manifest_path"]).parent) for m in messages if m["reason"] == "compiler-artifact" and m["executable"]
                and m["profile"]["test"]]
    if done.returncode and not errors:
        sys.exit(f"{shlex.join(command)} failed without an error of the compiler")
    return programs, errors


def culprits(errors, sites):
    """The changes that errors point at: of each, the smallest around its place, or else the nearest."""
    found = set()
    for error in errors:
        spans = sorted(error["spans"], key=lambda span: not span["is_primary"])
        for span in spans:
            start, end = span["byte_start"], span["byte_end"]
            near = [s for s in sites if str(s.source.path) == span["file_name"]]
            around = [s for s in near if s.placed[0] < end and start < s.placed[1]]
            if around:
                found.add(min(around, key=lambda s: s.placed[1] - s.placed[0]))
                break
            if near and span is spans[-1]:
                found.add(min(near, key=lambda s: min(abs(s.placed[0] - start), abs(s.placed[1] - end))))
    return found


def limits():
    """A change may ask for all memory there is, or write without an end."""
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))


def run_tests(programs, number, seconds):
    """`passed`, `failed` or `hung`, and the seconds it took."""
    begin = time.monotonic()
    for program, folder, filters in programs:
        child = subprocess.Popen([program, "-q", *filters], cwd=folder, env=os.environ | {"GAN_MUTANT": str(number)}, preexec_fn=limits,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        # Steps are counted, not the clock: the machine may be stopped in between.
        for _ in range(int(seconds * 20)):
            if child.poll() is not None:
                break
            time.sleep(0.05)
        else:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            return "hung", time.monotonic() - begin
        if child.returncode:
            return "failed", time.monotonic() - begin
    return "passed", time.monotonic() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", nargs="+", help="files and folders, from the repository's root")
    parser.add_argument("--at", required=True, type=Path, help="folder of the copy")
    parser.add_argument("--run", required=True, action="append", help="arguments of cargo test, and behind -- those of the tests")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=26)
    parser.add_argument("--only", type=lambda text: [int(n) for n in text.split(",")], help="numbers of the changes to try, separated by commas")
    args = parser.parse_args()
    runs = [(command[: command.index("--")], command[command.index("--") + 1:]) if "--" in command else (command, [])
            for command in map(shlex.split, args.run)]

    paths = [Path(p) for name in args.sources for p in ([name] if name.endswith(".rs") else glob.glob(f"{name}/**/*.rs", root_dir=ROOT, recursive=True))]
    is_test = re.compile(r"(^|/)(tests?|mutations|fuzzing)(\.rs|/)")
    sources = [Source(path) for path in sorted(set(paths)) if not is_test.search(str(path))]
    every = [Site(source, *change) for source in sources for change in source.changes()]
    random.Random(args.seed).shuffle(every)
    sites = []
    for site in every:
        if len(sites) < 2 * args.count and not any(site.overlaps(other) for other in sites):
            sites.append(site)
            site.number = len(sites)
    drawn = len(sites)
    print(f"{len(every)} possible changes in {len(sources)} files, {drawn} drawn", flush=True)

    args.at = args.at.resolve()
    copy_tree(args.at)
    programs = []
    while len(programs) < len(runs):
        write_changes(args.at, sources, sites)
        programs = []
        for run in runs:
            built, errors = build(args.at, run)
            if errors:
                out = culprits(errors, sites)
                if not out:
                    sys.exit("\n".join(error["rendered"] for error in errors[:3]))
                print(f"{len(out)} do not compile", flush=True)
                sites = [site for site in sites if site not in out]
                break
            programs.append([(*program, run[1]) for program in built])
    kept = tempfile.TemporaryDirectory(dir=args.at)
    programs = [(shutil.copy(program, kept.name), *rest) for program, *rest in sum(programs, [])]
    tried = sites[: args.count]
    print(f"{drawn - len(sites)} of {drawn} do not compile; {len(tried)} are tried", flush=True)

    state, took = run_tests(programs, 0, 1200)
    if state != "passed":
        sys.exit(f"the tests {state} without any change")
    print(f"without a change the tests take {took:.1f} s", flush=True)
    table, left = Counter(), []
    for site in tried:
        if args.only and site.number not in args.only:
            continue
        state, _ = run_tests(programs, site.number, 5 * took + 20)
        if state == "failed":
            # Again, for a test may fail because the machine is busy.
            state, _ = run_tests(programs, site.number, 5 * took + 20)
        table[site.kind, state] += 1
        if state == "passed":
            left.append(site)
        print(f"{site.number} {state} {site}", flush=True)
    print("\n| change | tried | failed | hung | not noticed |\n|---|---|---|---|---|")
    for kind in [*sorted({kind for kind, _ in table}), "all"]:
        counts = [sum(n for (k, s), n in table.items() if kind in (k, "all") and s == state) for state in ("failed", "hung", "passed")]
        print(f"| {kind} | {sum(counts)} | {counts[0]} | {counts[1]} | {counts[2]} |")
    print("\nNot noticed:\n" + "\n".join(f"- {site.number}: {site}" for site in left))


if __name__ == "__main__":
    main()
