"""Certificates: bounded claims about an analysed policy, proved, stored so that another machine can check them."""
