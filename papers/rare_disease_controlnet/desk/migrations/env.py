"""What Alembic runs: the revisions, on the connection that `schema` hands over."""

from alembic import context

from papers.rare_disease_controlnet.corpus.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,  # for the names of constraints
    render_as_batch=True,
)
context.run_migrations()
