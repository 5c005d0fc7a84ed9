"""Commissioning as a conversation in a terminal: questions with what stands now as the answer."""

import select
import sys
from typing import Final

import click

from receiver.cli.commissioned import Visit
from receiver.commissioning.state import CommissioningError, Question, StepState
from receiver.log import escaped

_LOOK_EVERY_S: Final = 1.0
_WAITED_FOR: Final = ("radios", "test-tag", "clock", "store", "upload")
"""Steps that come true by themselves, while somebody watches."""

_LONGEST_LINE: Final = 300


def talk(visit: Visit) -> None:
    """Lead through all steps; Ctrl-C ends it.

    Raises:
        CommissioningError: the configuration cannot be written, and was not saved elsewhere.
    """
    state = visit.state()
    click.echo(f"Station {escaped(state.station)}, configuration {state.configuration}")
    click.echo("Enter takes what stands in brackets; - empties an answer.\n")
    for number, step in enumerate(state.steps, 1):
        click.secho(f"{number}. {step.title}", bold=True)
        _lead_through(visit, step.name)
        click.echo()


def _lead_through(visit: Visit, name: str) -> None:
    step = visit.step_state(name)
    _show(step)
    while step.questions:
        try:
            answers = _answers(step)
            if answers is None:
                break
            visit.step(name, answers)
        except CommissioningError as error:
            _explain(error)
        else:
            step = visit.step_state(name)
            _show(step)
            if name != "radios":
                break
    if name in _WAITED_FOR:
        _wait(visit, name)
    step = visit.step_state(name)
    if step.progress == "waiting":
        reason = click.prompt("   why is it left", default="later", type=str)
        visit.step(name, {"skip": reason})


def _answers(step: StepState) -> dict[str, str] | None:
    """Ask; None where no more radios are to be added."""
    answers: dict[str, str] = {}
    for question in step.questions:
        answer = _asked(question)
        if question.name == "device" and not answer:
            return None
        answers[question.name] = answer
    return answers


def _asked(question: Question) -> str:
    words = f"   {escaped(question.words)}"
    if question.choices and question.name == "device":
        for number, choice in enumerate(question.choices, 1):
            click.echo(f"   {number}) {escaped(choice.value)}  {escaped(choice.words)}")
        told = click.prompt(f"{words}", default="", show_default=False, type=str).strip()
        if told.isdecimal() and 0 < int(told) <= len(question.choices):
            return question.choices[int(told) - 1].value
        return str(told)
    if question.choices:
        kinds = click.Choice([choice.value for choice in question.choices])
        return str(click.prompt(words, default=question.default or None, type=kinds))
    while True:
        told = click.prompt(
            words, default=question.default, show_default=bool(question.default), type=str
        ).strip()
        if told == "-":
            told = ""
        if told or not question.required:
            return str(told)
        click.echo("   this one is needed")


def _wait(visit: Visit, name: str) -> None:
    """Show how a step gets on, until it is good or somebody presses Enter."""
    shown = ""
    while True:
        step = visit.step_state(name)
        if step.progress != "waiting":
            if shown:
                _show(step)
            return
        told = f"{step.found} -> {step.do}"
        if told != shown:
            shown = told
            _show(step)
            click.echo("   (Enter goes on without it)")
        if select.select([sys.stdin], [], [], _LOOK_EVERY_S)[0]:
            sys.stdin.readline()
            return


def _show(step: StepState) -> None:
    colour = {"ok": "green", "skipped": "cyan", "waiting": "yellow"}[step.progress]
    click.secho(f"   {step.progress}: {escaped(step.found, _LONGEST_LINE)}", fg=colour)
    if step.do:
        click.echo(f"   -> {escaped(step.do)}")


def _explain(error: CommissioningError) -> None:
    """Tell what went wrong; offer to save a configuration that cannot be written where it is."""
    click.secho(f"   {escaped(str(error))}", fg="red")
    click.echo(f"   -> {escaped(error.do)}")
    if error.text_to_save is None:
        return
    path = click.prompt("   save the new configuration to", default="stopover.toml.new", type=str)
    try:
        with open(path, "x", encoding="utf-8") as file:  # noqa: PTH123  As it was typed.
            file.write(error.text_to_save)
    except OSError as problem:
        click.secho(f"   {problem}", fg="red")
    raise error
