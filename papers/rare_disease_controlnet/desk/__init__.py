"""The review desk: researchers queue synthesis, physicians judge it blinded.

A web application over the corpus (`papers.rare_disease_controlnet.corpus`) with tables of its own.
Each feature is a package that gives its routes and who may use them:

- `accounts`: who works here; `audit`: what they did;
- `jobs`: what is asked of the engine, with its worker;
- `reading`: blinded sets and the reading room;
- `reports`: what readings say;
- `release`: what enters the corpus, retraining, and export.

`app` puts them together behind `access`; `pages` draws what they show; `desk` is what they share.
Needs the extra `desk`.
"""
