"""Run in a framework's environment: its own parser reads every file it is given.

    python accepts.py FRAMEWORK FOLDER FILE...

Prints a JSON object from file to error, None where the parser took it.
"""

import json
import os
import sys


def read_by_llamafactory(path):
    from llamafactory.hparams import get_train_args, parser
    from omegaconf import OmegaConf

    parser.is_torch_bf16_gpu_available = lambda: True
    get_train_args(OmegaConf.to_container(OmegaConf.load(path)))


def read_by_swift(path):
    from swift.arguments import SftArguments
    from swift.cli.main import parse_yaml_args
    from swift.utils import parse_args

    argv = [path]
    parse_yaml_args(argv)
    _, unknown = parse_args(SftArguments, argv)
    if unknown:
        raise ValueError(f"unknown: {unknown}")


def main(framework, folder, files):
    os.chdir(folder)
    read = {"llamafactory": read_by_llamafactory, "swift": read_by_swift}[framework]
    errors = {}
    for path in files:
        try:
            read(path)
            errors[path] = None
        except (Exception, SystemExit) as error:  # noqa: BLE001 - any is the answer
            errors[path] = f"{type(error).__name__}: {error}"
    sys.stdout.write("\n" + json.dumps(errors) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
