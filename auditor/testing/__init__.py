"""."""


class ReplayMeter: ...
