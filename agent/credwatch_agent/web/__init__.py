"""The page: what a report tells, to look at in a browser and to read as JSON.

Every view is a pure function from one moment (`state`) and a checked question (`asking`) to a record;
`views` is the table of them, `app` the HTTP edge, `source` where moments come from, `looks` and the
templates how a record becomes HTML. Judges nothing: evidence, findings and recommendations come as
they are.
"""

from credwatch_agent.web.app import beside, create_page
from credwatch_agent.web.door import Door
from credwatch_agent.web.source import Given, Source

__all__ = ["Door", "Given", "Source", "beside", "create_page"]
