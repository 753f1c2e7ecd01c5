"""Records that keep coming into a topic while a test does something to those who read it."""

import threading


class Feed(threading.Thread):
    """with Feed(server, topic) as feed: .. feed.finish(). What a class of its own says: `some` sends a few, `last` what ends all."""

    pause = 0.02
    settings = {}

    def __init__(self, server, topic):
        super().__init__(daemon=True)
        self.server, self.topic, self.enough, self.failure = server, topic, threading.Event(), None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.enough.set()
        self.join()

    def some(self):
        raise NotImplementedError

    def last(self):
        """Nothing, unless told."""

    def run(self):
        try:
            self.producer = self.server.producer(**self.settings)
            while not self.enough.is_set():
                self.some()
                self.enough.wait(self.pause)
            self.last()
            self.producer.flush()
            self.producer.close()
        except Exception as error:  # told by finish
            self.failure = error

    def finish(self):
        """All is sent; raises what kept it from that."""
        self.__exit__()
        if self.failure:
            raise self.failure
