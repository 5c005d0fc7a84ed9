"""Files that a person sends to a database: each format in its own module, `formats` names them."""
