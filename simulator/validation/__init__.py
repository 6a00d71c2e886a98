"""Believing it: whether the models do what theory and recordings say they must.

A *check* (`checks`) asks one question and answers with *findings*: a number, what it should be, how far apart they lie
and how far they may. Read `laboratory` (a real centre under laws that have a theory), `queues`, `arrivals`, `draws`
and `little` for theory, `models` for recordings, `ciw_network` for a second opinion; `inference` and `theory` hold the
statistics and formulas, `report` shows it all. `haina validate` runs them.

A number of a correct model misses its tolerance once in ten thousand seeds, and a check has fewer than ten of them.
A seed decides everything, so a check that passes passes again.
"""
