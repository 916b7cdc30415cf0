# Upstream's slow spots, in batches.

const FAST = Ref(true)
