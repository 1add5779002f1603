#!/usr/bin/env python3
"""Writes every task of AgentDojo v1.2.2 as a line that `replay` reads: the calls of its ground truth, and for each which
of the suite's injection vectors its result shows.

    pip install agentdojo==0.1.35
    python3 benches/replay/agentdojo.py > all.jsonl
"""

import json
import sys

from agentdojo.functions_runtime import FunctionsRuntime
from agentdojo.task_suite.load_suites import get_suites


def calls(suite, task, marks):
    """The calls, run one after the other in the suite's own world, with a mark where each vector would be."""
    marked = suite.load_and_inject_default_environment(marks)
    plain = suite.load_and_inject_default_environment({})
    if hasattr(task, "init_environment"):
        marked, plain = task.init_environment(marked), task.init_environment(plain)
    truth = task.ground_truth(plain)
    runtime, works = FunctionsRuntime(suite.tools), True
    lines = []
    for call in truth:
        # A name that a vector is part of holds the mark here.
        args = {name: renamed(value, marks) for name, value in call.args.items()}
        result, error = runtime.run_function(marked, call.function, args)
        works = works and error is None
        seen = [vector for vector, mark in marks.items() if mark in str(result)]
        lines.append({"tool": call.function, "args": plainly(call.args), "untrusted_vectors": seen})
    return lines, works


def renamed(value, marks):
    if value == "External_0" and "prompt_injection_channel" in marks:
        return "External_" + marks["prompt_injection_channel"]
    return value


def plainly(args):
    return json.loads(json.dumps(args, default=str))


def main():
    for name, suite in get_suites("v1.2.2").items():
        vectors = suite.get_injection_vector_defaults()
        marks = {vector: f"ZQX{n}QZ" for n, vector in enumerate(vectors)}
        for kind, tasks in (("user", suite.user_tasks), ("injection", suite.injection_tasks)):
            for task_id, task in tasks.items():
                lines, works = calls(suite, task, marks)
                goal = task.PROMPT if kind == "user" else task.GOAL
                case = {"suite": name, "task": task_id, "kind": kind, "goal": goal, "oracle_ok": works, "calls": lines}
                json.dump(case, sys.stdout)
                print()


if __name__ == "__main__":
    main()
