"""The live console: the town in a browser, on the run's clock.

One process, three sources: the broker says what time it is in the town and who is connected (`town`), the store
says what was measured (`feed`), the collector how it is (`line`). `server` puts them behind HTTP: a *window* is
fetched once, then *deltas* arrive over server-sent events, asked and encoded once for all viewers, and not at all
when nobody looks. `page` lays the panels out with NiceGUI; what happens in the browser is in `browser/`, and the
charts are drawn with the ECharts and Leaflet that NiceGUI brings.

Every source can be away. Then the page says which and why, keeps showing what it last knew, and goes on by itself
when the source is back. *Unavailable* (the link is down), *unknown* (nothing was said yet) and *stale* (what was
said last is old) are different things everywhere.
"""
