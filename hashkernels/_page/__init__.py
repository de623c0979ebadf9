"""Parts of pages that any part of the library may use: figures, tables, pictures, templates. Pages load nothing."""
