"""The three kinds of error, by what the caller should do. Concrete ones live in their rooms."""


class HitlError(Exception):
    """Anything this project says no with. A message names the thing, what is wrong, what to do."""


class Unavailable(HitlError):
    """Something we depend on does not answer. Try again later; flows retry only this."""


class Refused(HitlError):
    """What was asked cannot be done as asked. Trying again without a change will not help."""


class NotYet(Refused):
    """There is nothing to do yet, or somebody else does it now. A schedule passes over it."""


class Malformed(HitlError):
    """One piece of input is bad. It is set aside with its reason and the rest goes on."""
