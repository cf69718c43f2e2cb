"""Odd command lines: syntax, repetitions, contradictions and flags without an effect."""

from pathlib import Path

from hostile_cases.case import Case, painted, refused, swept


def _shown(name: str, *arguments: str, says: str = "") -> Case:
    """Something is only shown on standard output."""
    return Case(name, arguments, is_raw=True, says=(says,) if says else ())


def _write_flags() -> None:
    Path("flags.txt").write_text("--steps=2\n")


def _raw(name: str, *arguments: str, says: str) -> Case:
    return refused(name, *arguments, says=says, is_raw=True)


CASES = [
    _raw("syntax: nothing at all", says="--content is missing"),
    _raw("syntax: an empty argument", "", says="unexpected argument ''"),
    refused("syntax: an argument of spaces", "   ", says="unexpected argument"),
    _raw("syntax: only dashes", "--", says="--content is missing"),
    refused("syntax: a flag without a name", "--=3", says="flag"),
    refused("syntax: a value with two equals signs", "--steps==3", says="steps"),
    refused("syntax: three dashes", "---steps=3", says="steps"),
    painted("syntax: one dash", "-steps=2"),
    _raw("syntax: a flag at the end without its value", "--content=c.png", "--style", says="style"),
    _raw("syntax: a value that is a flag", "--content", "--style=s.png", says="--style is missing"),
    refused("syntax: flags behind two dashes", "--", "--steps=2", says="unexpected argument '--steps=2'"),
    refused("syntax: dashes in a name", "--style-weight=2", says="style-weight"),
    refused("syntax: capitals", "--Steps=2", says="Steps"),
    refused("syntax: a long unknown flag", f"--{'x' * 5000}=1", says="xxx"),
    refused("syntax: an unknown flag with a newline", "--ste\nps=2", says="ste ps"),
    refused("syntax: an unknown flag of another script", "--größe=2", says="größe"),
    refused("syntax: a lone surrogate in a value", "--features=\udcff", says="unknown features"),
    refused("syntax: control characters in a value", "--recipe=\x1b[31mred", says="unknown recipe"),
    painted("syntax: a flag twice, the last counts", "--steps=9", "--steps=2"),
    painted("syntax: quiet, and then not", "--quiet", "--noquiet"),
    refused("syntax: a boolean that is none", "--quiet=perhaps", says="quiet"),
    refused("syntax: a number negated", "--nosteps", says="nosteps"),
    refused(
        "syntax: a file of flags that is missing", "--flagfile=none.txt", says="flagfile", status={1, 2}
    ),
    refused("syntax: a file of flags", "--flagfile=flags.txt", says="flagfile", setup=_write_flags),
    refused("syntax: unknown flags to be ignored", "--undefok=a", "--a=1", says="undefok"),
    _shown("syntax: help in the midst of mistakes", "--help", "c.png"),
    _shown("syntax: help and unpaintable values", "--steps=0", "--help"),
    _shown("syntax: help beside a run that is not there", "--help", "--resume=none"),
    refused("syntax: a list with a quote left open", '--content_layers="luma1', says="luma1"),
    _shown("syntax: version beside other flags", "--version", "--content=none.png"),
    _raw("syntax: help that is no boolean", "--help=please", says="help"),
    refused(
        "syntax: an unexpected glob of the shell", "a.png", "b.png", says="unexpected argument 'a.png'"
    ),
    refused("syntax: report without a folder", "--report=", says="--report is empty"),
    refused("syntax: report beside a picture to paint", "--report=sweep", says="--report"),
    refused("syntax: report and resume", "--report=sweep", "--resume=sweep", says="--re", status={1, 2}),
    refused("syntax: resume empty", "--resume=", says="--resume needs a value"),
    refused("syntax: resume_anyway alone", "--resume_anyway", says="--resume_anyway has no use"),
    refused("syntax: content empty", "--content=", says="--content is missing"),
    refused("syntax: style one of two empty", "--style=s.png", "--style=", says="--style is missing"),
    refused("syntax: content a lone comma", "--content=,", says=",", status={1, 2}),
    refused("syntax: features empty", "--features=", says="unknown features"),
    refused("syntax: features in capitals", "--features=WAVELET", says="unknown features 'WAVELET'"),
    refused("syntax: layers a lone comma", "--content_layers=,", says="content_layers must name layers"),
    refused("syntax: layers of another network", "--style_layers=relu1_1", says="relu1_1"),
    refused("syntax: layers that are none", "--style_layers=scale0", says="scale0"),
    refused("syntax: a layer twice", "--style_layers=scale1,scale1", says="scale1"),
    painted("syntax: layers with spaces", "--style_layers= scale1 , scale2 "),
    refused("syntax: both sizes of the style", "--style_size=20", "--style_scale=1", says="style_size"),
    refused("syntax: a seed without noise", "--seed=4", says="--seed has no use here"),
    refused("syntax: weights with wavelets", "--weights=c.png", says="weights"),
    refused("syntax: pooling unknown", "--pooling=sum", says="unknown pooling"),
    refused("syntax: precision unknown", "--precision=float64", says="unknown precision"),
    refused("syntax: optimizer in capitals", "--optimizer=Adam", says="unknown optimizer"),
    refused("syntax: a style loss twice", "--style_loss=gram,gram", says="style_loss names gram twice"),
    refused("syntax: zip of nothing", "--zip", says="--zip has no use here"),
    refused(
        "syntax: a checkpoint of processes", "--distributed", "--checkpoint=a", says="--checkpoint has no"
    ),
    refused(
        "syntax: history of a sweep", "--history=h.json", "--tv_weight=1,2", says="--history has no use"
    ),
    refused(
        "syntax: checkpoint of a sweep", "--checkpoint=k", "--tv_weight=1,2", says="--checkpoint has no"
    ),
    refused("syntax: checkpoint empty", "--checkpoint=", says="--checkpoint is empty"),
    refused("syntax: compilation cache a file", "--compilation_cache=c.png", says="c.png", status={1, 2}),
    refused(
        "syntax: compilation cache below a file",
        "--compilation_cache=c.png/k",
        says="c.png/k",
        status={1, 2},
    ),
    painted("syntax: compilation cache off", "--compilation_cache=off"),
    painted("syntax: save_every beyond the end", "--save_every=9", says="save_every 9 has no effect"),
    swept("syntax: equal values in other words", "--style_weight=1000,1e3,1000.0,2"),
    painted("syntax: equal values are one picture", "--style_weight=1000,1e3"),
    refused("syntax: a coordinator without distributed", "--coordinator_address=x:1", says="--coordinator"),
]
