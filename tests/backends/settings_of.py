"""Run in a framework's environment: the settings that its own parser takes, one name a line."""

import dataclasses
import sys


def of_llamafactory():
    from llamafactory.hparams import parser

    return parser._TRAIN_ARGS


def of_swift():
    from swift.arguments import SftArguments

    return [SftArguments]


if __name__ == "__main__":
    groups = {"llamafactory": of_llamafactory, "swift": of_swift}[sys.argv[1]]()
    names = {field.name for group in groups for field in dataclasses.fields(group) if field.init}
    sys.stdout.write("\n" + "\n".join(sorted(names)) + "\n")
