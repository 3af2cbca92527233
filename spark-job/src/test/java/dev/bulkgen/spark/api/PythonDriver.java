package dev.bulkgen.spark.api;

import dev.bulkgen.spark.Programs;
import dev.bulkgen.spark.Sessions;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import py4j.GatewayServer;

/** A driver as PySpark has it: this JVM with Py4J's gateway, and Python beside it. */
public record PythonDriver(SparkSession session, Dataset<Row> rows) {
  private static final Path SOURCES = Path.of("src").toAbsolutePath();

  public SparkSession getSession() {
    return session;
  }

  public Dataset<Row> getRows() {
    return rows;
  }

  /**
   * Runs a script of {@code src/test/python}, whose first argument is the gateway's port.
   *
   * @return what it printed
   */
  public String run(String script, String... arguments) throws Exception {
    Programs.require("python3");
    GatewayServer server = new GatewayServer(this, 0);
    server.start();
    try {
      // The gateway's threads run the calls: in a driver, all of them have the one session.
      SparkSession.setDefaultSession(session);
      Path python = SOURCES.resolve("test/python");
      List<String> command = new ArrayList<>();
      command.addAll(List.of("python3", python.resolve(script).toString()));
      command.add(String.valueOf(server.getListeningPort()));
      command.addAll(List.of(arguments));
      return Programs.run(
          Map.of(
              "PYTHONPATH",
              SOURCES.resolve("main/python") + ":" + python,
              "PYTHONDONTWRITEBYTECODE",
              "1"),
          command);
    } finally {
      SparkSession.setDefaultSession(Sessions.shared());
      server.shutdown();
    }
  }
}
