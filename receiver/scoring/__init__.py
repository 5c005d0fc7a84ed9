"""How well a store agrees with the truth of a simulated world: what `stopover score` tells."""
