package dev.bulkgen.spark.deploy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.bulkgen.spark.Programs;
import dev.bulkgen.spark.cli.Main;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TestSchedule {
  /**
   * What Airflow's classes are given, printed; the names of the operator's arguments are its own.
   */
  private static final String DAG =
      "import json\n"
          + "class DAG:\n"
          + "  def __init__(self, **given): self.given = given\n"
          + "  def __enter__(self): return self\n"
          + "  def __exit__(self, *error): pass\n";

  private static final String OPERATOR =
      "import json\n"
          + "class SparkSubmitOperator:\n"
          + "  def __init__(self, *, task_id, application='', conf=None, conn_id='spark_default',\n"
          + "      files=None, py_files=None, archives=None, driver_class_path=None, jars=None,\n"
          + "      java_class=None, packages=None, exclude_packages=None, repositories=None,\n"
          + "      total_executor_cores=None, executor_cores=None, executor_memory=None,\n"
          + "      driver_memory=None, keytab=None, principal=None, proxy_user=None, name='x',\n"
          + "      num_executors=None, application_args=None, env_vars=None, verbose=False,\n"
          + "      spark_binary=None, properties_file=None, **kwargs):\n"
          + "    print(json.dumps([task_id, application, java_class, properties_file,"
          + " application_args]))\n";

  @TempDir Path folder;

  @Test
  void testDagSubmitsAJob() throws Exception {
    Programs.require("python3");
    Path operators = folder.resolve("airflow/providers/apache/spark/operators");
    Files.createDirectories(operators);
    Files.writeString(folder.resolve("airflow/__init__.py"), DAG);
    Files.writeString(operators.resolve("spark_submit.py"), OPERATOR);
    String said =
        Programs.run(
            Map.of("PYTHONPATH", folder.toString(), "PYTHONDONTWRITEBYTECODE", "1"),
            List.of(
                "python3", DeployFiles.ROOT.resolve("deploy/schedule/airflow_dag.py").toString()));
    JsonNode task = new ObjectMapper().readTree(said);
    assertEquals(Main.class.getName(), task.get(2).asText());
    assertTrue(task.get(3).asText().endsWith("/conf/spark-standalone.properties"), said);
    List<String> arguments = new ArrayList<>();
    task.get(4)
        .forEach(argument -> arguments.add(argument.asText().replace("{{ ds }}", "2026-01-31")));
    CommandLines.check(arguments);
  }

  @Test
  void testCronLine() throws Exception {
    Set<String> names = new TreeSet<>();
    List<String> lines = new ArrayList<>();
    for (String line : DeployFiles.text("deploy/schedule/bulkgen.cron").lines().toList()) {
      if (line.matches("[A-Z_]+=.*")) {
        names.add(line.substring(0, line.indexOf('=')));
      } else if (!line.startsWith("#")) {
        lines.add(line);
      }
    }
    assertEquals(1, lines.size());
    String[] fields = lines.get(0).split(" ", 6);
    assertEquals("0 2 * * *", String.join(" ", List.of(fields).subList(0, 5)));
    assertTrue(fields[5].contains("/deploy/schedule/nightly.sh"), fields[5]);
    assertTrue(!fields[5].contains("%"), "cron takes % for the end of the line");
    assertEquals(
        Set.of("SPARK_HOME", "SPARK_MASTER", "BULKGEN_MODEL", "BULKGEN_INPUT", "BULKGEN_OUTPUT"),
        names);
  }
}
