"""What is in a store or a manifest; `describe` is the door.

- `description`: classes, ambiguity, coexisting emotions, lengths, failures.
- `agreement`: how far annotators agree.
- `annotators`: each annotator compared with the others.
"""
