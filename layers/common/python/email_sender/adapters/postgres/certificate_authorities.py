"""The certificate authorities of Amazon RDS and RDS Proxy, written by scripts/export_authorities.py."""

from pathlib import Path

AUTHORITIES = Path(__file__).with_name("amazon_authorities.pem")
