"""How large an archive may get. Apart from the archive, as most that ask this have no use for SQLite."""

MIN_SIZE_BYTES = 4_194_304  # less holds too little to be of use
DEFAULT_SIZE_BYTES = 67_108_864  # 64 MiB: some 90,000 changes of a deployment of 650 bytes
