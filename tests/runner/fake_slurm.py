"""The commands of SLURM that submitit calls, on this machine alone: jobs are started at once.

A job that `scontrol requeue` names is started again when its script has ended.
"""

import stat
import sys
from pathlib import Path

_COMMANDS = {
    "sbatch": """#!{python}
import os, subprocess, sys
here = {folder!r}
number = 1 + len([name for name in os.listdir(here) if name.endswith(".job")])
script = open(sys.argv[1]).read()
open(f"{{here}}/{{number}}.job", "w").write(script)
log = open(f"{{here}}/{{number}}.log", "ab")
subprocess.Popen([sys.executable, f"{{here}}/controller", str(number)], stdout=log, stderr=log,
                 stdin=subprocess.DEVNULL, start_new_session=True)
print(f"Submitted batch job {{number}}")
""",
    "controller": """#!{python}
import os, subprocess, sys
here, number = {folder!r}, sys.argv[1]
env = {{**os.environ, "SLURM_JOB_ID": number, "SLURM_NTASKS": "1", "SLURM_JOB_NUM_NODES": "1",
       "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURMD_NODENAME": "fake"}}
state = f"{{here}}/{{number}}.state"
open(f"{{here}}/{{number}}.pid", "w").write(str(os.getpid()))
while True:
    open(state, "w").write("RUNNING")
    code = subprocess.call(["bash", f"{{here}}/{{number}}.job"], env=env)
    again = f"{{here}}/{{number}}.requeue"
    if not os.path.exists(again):
        break
    os.unlink(again)
open(state, "w").write("COMPLETED" if code == 0 else "FAILED")
""",
    "srun": """#!{python}
import os, sys
rest = sys.argv[1:]
out = rest[rest.index("--output") + 1].replace("%j", os.environ["SLURM_JOB_ID"]).replace("%t", "0")
err = rest[rest.index("--error") + 1].replace("%j", os.environ["SLURM_JOB_ID"]).replace("%t", "0")
command = rest[rest.index("--error") + 2:]
os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
os.dup2(os.open(err, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
os.execvp(command[0], command)
""",
    "scontrol": """#!{python}
import sys
open({folder!r} + f"/{{sys.argv[2]}}.requeue", "w").close()
""",
    "sacct": """#!{python}
import os
print("JobID|State|NodeList")
for name in os.listdir({folder!r}):
    if name.endswith(".state"):
        print(name[:-6], open({folder!r} + "/" + name).read(), "fake", sep="|")
""",
    "scancel": """#!{python}
import os, signal, sys
os.killpg(int(open({folder!r} + f"/{{sys.argv[1]}}.pid").read()), signal.SIGKILL)
""",
}


def install(folder: Path) -> Path:
    """Write the commands into ``folder``, which then belongs before all others in PATH."""
    folder.mkdir()
    for name, text in _COMMANDS.items():
        path = folder / name
        path.write_text(text.format(python=sys.executable, folder=str(folder)), encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return folder
