"""What steps hand over: one module a product, which names, writes, reads and checks it.

JSON becomes structs and arrays are kept in dataclasses at this door: no step sees anything else of
a product's file. What is not the product is refused in one line.
"""
