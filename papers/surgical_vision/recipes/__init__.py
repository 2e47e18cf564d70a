"""How the models learn, a module for each family: `families.recipe_of` finds a model's."""
