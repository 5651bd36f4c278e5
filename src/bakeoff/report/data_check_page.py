"""What a check of a dataset found, as one page that needs nothing else."""

from bakeoff import __version__
from bakeoff.schema.data_check import DataCheck


def render_page(found: DataCheck) -> str:
    """HTML; texts of the dataset are escaped, and the page may load and run nothing."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - slow to import

    environment = Environment(
        loader=PackageLoader("bakeoff.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("data_check.html.j2")
    return template.render(found=found, version=__version__)
