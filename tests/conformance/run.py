"""Runs the cases of the Autobahn suite on the programs of this folder, and compares the verdicts
with those in expectation.json. See README.md.
"""

import argparse
import asyncio
import functools
import json
import os
import re
import sys
import traceback
from collections import Counter
from pathlib import Path

import kosoku._caseindex
import kosoku._report

EXPECTATION = Path(__file__).with_name("expectation.json")
GOOD = ("OK", "INFORMATIONAL")
#: Cases of the suite; none is left out.
CASES = 517

#: Most cases do nothing but wait.
AT_ONCE = 4
#: No run takes so long.
WITHIN_S = 2 * 60 * 60

#: The cases 12.* and 13.* are compression, most of them slow. Of each of their groups every run has
#: messages of 16, 64, 256 and 1,024 bytes, and of 8 KiB in fragments.
COMPRESSION = re.compile(r"1[23]\.")
COMPRESSION_OF_EVERY_RUN = re.compile(r"1[23]\.\d+\.(1|2|3|4|11)")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("programs", type=Path, metavar="PROGRAMS", help="the folder they are in")
    parser.add_argument("--role", choices=ROLES, help="what is tested; all of them by default")
    parser.add_argument("--all", action="store_true", help="all cases of compression")
    parser.add_argument("--report", type=Path, metavar="FOLDER", help="write a page on each case")
    parser.add_argument("--record", action="store_true", help="make the verdicts the expectation")
    options = parser.parse_args()
    if options.record and not (options.role == "server" and options.all):
        parser.error("--record goes with --role server --all")

    mend_suite()
    codes = [test(role, options) for role in ([options.role] if options.role else ROLES)]
    return max(codes)


def test(role, options):
    """Runs the cases of a role and judges the verdicts; gives the exit code."""
    expected = json.loads(EXPECTATION.read_text())
    if len(expected) != CASES and not options.record:
        print(f"{EXPECTATION} has {len(expected)} cases in place of {CASES}")
        return 1
    is_wanted = is_without_compression if role == "parts" else is_of_every_run
    if options.all and role != "parts":
        # Whatever the suite has.
        cases = None
    else:
        expected = {case: word for case, word in expected.items() if is_wanted(case)}
        cases = list(expected)

    print(f"\nconformance: {role}", flush=True)
    run = asyncio.wait_for(ROLES[role](options.programs, cases), WITHIN_S)
    results = asyncio.run(run)
    if options.record:
        return record(results)
    code = compare(role, results, expected)
    if options.report:
        kosoku._report.write_reports(results, str(options.report / role))
        if code:
            print(f"what was sent in each case: {options.report / role / 'index.html'}")
    return code


def is_of_every_run(case):
    return is_without_compression(case) or bool(COMPRESSION_OF_EVERY_RUN.fullmatch(case))


def is_without_compression(case):
    return not COMPRESSION.match(case)


async def run_server(programs, cases, path=""):
    """The results of our server in these cases, or in all that there are."""
    process, url = await start(programs / "conformance-server", "127.0.0.1:0")
    try:
        return await kosoku.run_fuzzingclient(url + path, cases, concurrency=AT_ONCE)
    except kosoku.FailureError as failure:
        return failure.results
    finally:
        await end(process)


async def run_client(programs, cases):
    """The results of our client in these cases, or in all that there are."""
    program = programs / "conformance-client"
    async with kosoku.run_fuzzingserver(cases, host="127.0.0.1", port=0) as server:
        process = await asyncio.create_subprocess_exec(
            program, f"ws://{server.address}:{server.port}"
        )
        try:
            if code := await process.wait():
                raise ChildProcessError(f"{program} ended with {code}")
            return await server.get_result()
        except kosoku.FailureError as failure:
            return failure.results
        finally:
            await end(process)


ROLES = {
    "server": run_server,
    "parts": functools.partial(run_server, path="parts"),
    "client": run_client,
}


async def start(program, address):
    """Starts our server; gives the process and the URL that it prints."""
    process = await asyncio.create_subprocess_exec(program, address, stdout=asyncio.subprocess.PIPE)
    line = (await process.stdout.readline()).decode()
    if url := re.search(r"ws://\S+", line):
        return process, url[0]
    await end(process)
    raise ChildProcessError(f"{program} printed no address but {line!r}")


async def end(process):
    if process.returncode is None:
        process.kill()
        await process.wait()


def mend_suite():
    """Mends what kosoku 0.1.0 does with a message that is not compressed where compression was
    agreed on, as RFC 7692 §6 allows and every threshold does: it gives a case such a message as a
    Latin-1 string, and the cases of compression take bytes alone.
    """
    build = kosoku._caseindex.build_index

    @functools.wraps(build)
    def build_and_mend(*arguments):
        cases, groups = build(*arguments)
        for name, case in cases.items():
            if COMPRESSION.match(name):
                case.onMessage = taking_bytes(case.onMessage)
        return cases, groups

    kosoku._caseindex.build_index = build_and_mend


def taking_bytes(on_message):
    @functools.wraps(on_message)
    def mended(self, message, binary):
        if isinstance(message, str):
            message = message.encode("latin-1")
        return on_message(self, message, binary)

    return mended


def compare(role, results, expected):
    """Prints a line for each section and what differs; gives the exit code."""
    found = {result.case_id: result for result in results}
    differences = [f"{case}: not run" for case in expected if case not in found]
    for case, result in found.items():
        if case not in expected:
            differences.append(f"{case}: not among the cases of this run")
        elif expected[case] not in GOOD or verdicts(result) != {expected[case]}:
            differences.append(f"{case}: {told(result)}; expected: {expected[case]}")

    counts = {}
    for result in results:
        section = result.case_id.split(".")[0]
        counts.setdefault(int(section), Counter())[verdict(result)] += 1
    for section in sorted(counts):
        print(f"section {section:>2}  {in_words(counts[section])}")
    total = in_words(sum(counts.values(), Counter()))
    print(f"{role}: {len(results)} cases: {total}, {len(differences)} not as expected")
    for difference in differences:
        print(difference)
    return 1 if differences or not results else 0


def verdicts(result):
    """What the suite says of the messages, and of how the connection was closed."""
    return {result.behavior.value, result.behavior_close.value}


def verdict(result):
    """Both verdicts in one: the one that is not OK."""
    return " / ".join(sorted(verdicts(result) - {"OK"})) or "OK"


def told(result):
    return (
        f"{result.behavior.value} ({result.result}), "
        f"close {result.behavior_close.value} ({result.result_close})"
    )


def in_words(counts):
    return ", ".join(f"{count} {word}" for word, count in counts.most_common())


def record(results):
    bad = [result for result in results if verdicts(result) not in ({word} for word in GOOD)]
    for result in bad:
        print(f"{result.case_id}: {told(result)}")
    if bad:
        print(f"nothing recorded: {len(bad)} of {len(results)} cases are not to be expected")
        return 1
    verdict_of = {result.case_id: verdict(result) for result in results}
    EXPECTATION.write_text(json.dumps(verdict_of, indent=0) + "\n")
    print(f"recorded {len(results)} cases in {EXPECTATION}")
    return 0


def leave(code):
    """Ends at once: threads that kosoku 0.1.0 leaves behind may abort Python as it ends."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    try:
        code = main()
    except SystemExit as exit:
        code = exit.code
    except BaseException:
        traceback.print_exc()
        code = 1
    leave(code)
