"""Shipped families of instances, one per problem."""
