"""The places that models and data come from, and which of them to ask in which order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from bakeoff.base.errors import UserError
from bakeoff.base.network import Patience

T = TypeVar("T")
HubName = Literal["hub", "mirror", "modelscope"]

DEFAULT_ENDPOINT = "https://huggingface.co"
MIRROR = "https://hf-mirror.com"
MODELSCOPE = "https://modelscope.cn"


@dataclass(frozen=True)
class HubAddress:
    """One address to ask."""

    name: HubName
    endpoint: str
    token: str | Literal[False] | None = None
    """False: none is sent; None: the one that `hf auth login` stored, if any."""

    @property
    def title(self) -> str:
        return f"{self.name} ({self.endpoint})"


def silent(text: str) -> None:
    """Nobody listens."""


@dataclass(frozen=True)
class HubAccess:
    """How to reach the hubs."""

    endpoint: str | None = None
    """Address of `hub`, as HF_ENDPOINT names it; None: the Hugging Face hub."""

    token: str | None = None
    """Access token; None: the one that `hf auth login` stored, if any."""

    offline: bool = False
    """Use only what is already on disk."""

    order: tuple[HubName, ...] = ("hub",)
    """Asked one after the other until one has what is wanted."""

    mirror_endpoint: str = MIRROR
    modelscope_endpoint: str = MODELSCOPE
    modelscope_token: str | None = None
    patience: Patience = field(default_factory=Patience)
    say: Callable[[str], None] = field(default=silent, compare=False)
    """Told in one line what became of each place that was asked."""

    def places(self) -> list[HubAddress]:
        """In the order to ask, each address once."""
        known = {
            "hub": HubAddress("hub", _clean(self.endpoint or DEFAULT_ENDPOINT), self.token),
            # The token opens private models: whoever runs the mirror is not to have it.
            "mirror": HubAddress("mirror", _clean(self.mirror_endpoint), token=False),
            "modelscope": HubAddress(
                "modelscope", _clean(self.modelscope_endpoint), self.modelscope_token or False
            ),
        }
        chosen: dict[str, HubAddress] = {}
        for name in self.order:
            chosen.setdefault(known[name].endpoint, known[name])
        return list(chosen.values())


def _clean(endpoint: str) -> str:
    """As people write it (`hf-mirror.com`, `https://hf-mirror.com/`) and as it is used."""
    address = endpoint.strip().rstrip("/")
    return address if "://" in address else f"https://{address}"


class HubError(UserError):
    """One place cannot give what is wanted; another one may."""

    def __init__(self, message: str, *, hint: str, reason: str, telling: int = 1) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason
        """The message in a few words, for a line that names the place already."""

        self.telling = telling
        """Of several places' errors, the hint of the one that tells most is shown."""


class HubUnreachableError(HubError):
    """Nothing answers at the address."""


def first_that_works(
    access: HubAccess,
    what: str,
    attempt: Callable[[HubAddress], T],
    *,
    places: Sequence[HubAddress] = (),
) -> T:
    """The result of the first place where ``attempt`` succeeds.

    Args:
        access: Whom to tell, and the places unless ``places`` names them.
        what: `the model Qwen/Qwen2.5-1.5B`, for the message.
        attempt: Raises :class:`HubError` for what another place may do better.
        places: To be asked instead of those of ``access``.

    Raises:
        HubError: That of the only place, or one that tells of all.
    """
    failures: list[tuple[HubAddress, HubError]] = []
    asked = places or access.places()
    for place in asked:
        try:
            return attempt(place)
        except HubError as error:
            failures.append((place, error))
            if len(asked) > 1:
                access.say(f"{place.title}: {error.reason}")
    if len(failures) == 1:
        raise failures[0][1]
    raise _of_all(what, failures)


def _of_all(what: str, failures: list[tuple[HubAddress, HubError]]) -> HubError:
    lines = [f"  {place.title}: {error.reason}" for place, error in failures]
    silent = all(isinstance(error, HubUnreachableError) for _, error in failures)
    kind = HubUnreachableError if silent else HubError
    return kind(
        "\n".join([f"{what} could not be had from any of {len(failures)} places:", *lines]),
        hint=max((error for _, error in failures), key=lambda error: error.telling).hint or "",
        reason="no place has it",
    )
