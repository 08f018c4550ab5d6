"""The plugins that come with plugway."""
