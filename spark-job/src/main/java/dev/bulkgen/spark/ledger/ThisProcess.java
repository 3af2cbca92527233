package dev.bulkgen.spark.ledger;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/** Names this process so that a later one on the same machine can tell whether it still runs. */
final class ThisProcess {
  private static final ObjectMapper JSON = new ObjectMapper();

  /** Containers share host names and process ids; these two tell them apart. */
  private static final Path BOOT = Path.of("/proc/sys/kernel/random/boot_id");

  private static final Path NAMESPACE = Path.of("/proc/self/ns/pid");

  private ThisProcess() {}

  static ObjectNode describe() {
    ProcessHandle self = ProcessHandle.current();
    return JSON.createObjectNode()
        .put("pid", self.pid())
        .put("host", host())
        .put("machine", machine())
        .put("started", started(self));
  }

  /** Whether the process named runs; empty if it is another machine's to say. */
  static Optional<Boolean> knows(JsonNode holder) {
    String machine = machine();
    if (machine.isEmpty() || !holder.path("machine").asText().equals(machine)) {
      return Optional.empty();
    }
    return Optional.of(
        ProcessHandle.of(holder.path("pid").asLong(-1))
            .filter(ProcessHandle::isAlive)
            // A process id comes back one day; the time it started does not.
            .filter(found -> started(found).equals(holder.path("started").asText()))
            .isPresent());
  }

  private static String started(ProcessHandle process) {
    return process.info().startInstant().map(Object::toString).orElse("unknown");
  }

  /** Empty where the system does not say. */
  private static String machine() {
    try {
      return host()
          + " "
          + Files.readString(BOOT).strip()
          + " "
          + Files.readSymbolicLink(NAMESPACE);
    } catch (IOException | RuntimeException e) {
      return "";
    }
  }

  private static String host() {
    try {
      return InetAddress.getLocalHost().getHostName();
    } catch (UnknownHostException e) {
      return "localhost";
    }
  }
}
