def ready():
    return False


def start():
    raise NotImplementedError
