"""The client's side of Py4J's protocol, as far as bulkgen.py speaks it. The server's side is Py4J's own."""

import socket


class Gateway:
    def __init__(self, port):
        self._file = socket.create_connection(("127.0.0.1", port)).makefile("rw", newline="\n")
        self.jvm = Package(self, "")
        self.entry_point = JavaObject(self, "t")

    def send(self, *lines):
        self._file.write("\n".join(lines) + "\ne\n")
        self._file.flush()
        answer = self._file.readline().rstrip("\n")
        if not answer.startswith("!y"):
            raise RuntimeError(self._text(answer[2:]) if len(answer) > 2 else answer)
        kind, value = answer[2:3], answer[3:]
        if kind in ("r", "t", "l"):
            return JavaObject(self, value)
        return {"i": int, "L": int, "s": unescape, "b": lambda text: text == "true"}.get(kind, lambda _: None)(value)

    def _text(self, error):
        return str(self.send("c", error[1:], "toString")) if error.startswith("r") else error

    def new_array(self, java_class, length):
        return JavaArray(self, self.send("a", "c", "s" + java_class.name, f"i{length}")._id)


def unescape(text):
    return text.replace("\\n", "\n").replace("\\\\", "\\")


def encode(value):
    if isinstance(value, JavaObject):
        return "r" + value._id
    if isinstance(value, str):
        return "s" + value.replace("\\", "\\\\").replace("\n", "\\n")
    return f"i{value}"


class JavaObject:
    def __init__(self, gateway, identity):
        self._gateway = gateway
        self._id = identity

    def __getattr__(self, method):
        return lambda *values: self._gateway.send("c", self._id, method, *map(encode, values))


class JavaArray(JavaObject):
    def __setitem__(self, place, value):
        self._gateway.send("a", "s", self._id, f"i{place}", encode(value))


class Package:
    """A package or a class: what is called on it is a static method."""

    def __init__(self, gateway, name):
        self._gateway = gateway
        self.name = name

    def __getattr__(self, part):
        return Package(self._gateway, f"{self.name}.{part}" if self.name else part)

    def __call__(self, *values):
        java_class, method = self.name.rsplit(".", 1)
        return self._gateway.send("c", "z:" + java_class, method, *map(encode, values))
