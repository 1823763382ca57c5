"""Parts for transfer that mmseg and mmdet lack.

Nothing here is imported by localmim itself: configs import ``localmim.downstream.segmentation`` or
``localmim.downstream.detection``, which need those libraries.
"""

from .. import prepared  # noqa: F401  (first)
