"""What simulated heads are made of: the MNI152 template, smooth random fields, acquisition."""
