"""Jobs: one public function each; gin binds their data and options."""
