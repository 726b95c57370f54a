"""Requests and answers as the contract writes them."""
