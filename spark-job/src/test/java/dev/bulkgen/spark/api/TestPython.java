package dev.bulkgen.spark.api;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.spark.Sessions;
import dev.bulkgen.spark.job.JobRun;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** bulkgen.py over Py4J's gateway. */
class TestPython {
  @TempDir Path folder;

  @Test
  void testCallsOverTheGateway() throws Exception {
    SparkSession session = Sessions.shared().newSession();
    String prompts = JobRun.prompts(folder.resolve("in.jsonl"), 6).toString();
    String said =
        new PythonDriver(session, session.read().json(prompts))
            .run("drive.py", JobRun.MODEL, folder.resolve("out").toString());
    List<String> lines = said.lines().toList();
    assertEquals("generated 6", lines.get(0), said);
    String called = "called file:" + folder.resolve("out-call") + "|6|0|1|0|";
    assertTrue(lines.get(1).startsWith(called), said);
    assertEquals("remote 6", lines.get(2), said);
    assertTrue(lines.get(3).startsWith("refused") && lines.get(3).contains("temperature?"), said);
    assertTrue(Files.exists(folder.resolve("out-stream/batch=3/_SUCCESS")));
    assertEquals("scored 6", lines.get(4), said);
    String scored = "called file:" + folder.resolve("out-score-call") + "|6|0|1|0|";
    assertTrue(lines.get(5).startsWith(scored), said);
    assertTrue(Files.exists(folder.resolve("out-score-stream/batch=4/_SUCCESS")));
  }
}
