"""Login of agents by an issuer (OpenID Connect): the protocol, the roles, the sessions."""
