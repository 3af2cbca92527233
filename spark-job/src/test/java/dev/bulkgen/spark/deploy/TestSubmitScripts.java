package dev.bulkgen.spark.deploy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.spark.Programs;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.spark.deploy.SparkSubmitArguments;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The scripts run with a spark-submit that tells what it was given; Spark's own code reads that.
 */
class TestSubmitScripts {
  @TempDir Path folder;

  private final Map<String, String> environment = new HashMap<>();

  @BeforeEach
  void prepare() throws Exception {
    Path submit = folder.resolve("bin/spark-submit");
    Files.createDirectory(submit.getParent());
    Files.writeString(submit, "#!/bin/sh\nprintf '%s\\n' \"$@\"\n");
    Files.setPosixFilePermissions(submit, PosixFilePermissions.fromString("rwxr-xr-x"));
    environment.put("SPARK_HOME", folder.toString());
    environment.put("HADOOP_CONF_DIR", folder.toString());
    environment.put("KUBE_MASTER", "k8s://https://host:6443");
    environment.put("SPARK_MASTER", "spark://host:7077");
    environment.put("BULKGEN_MODEL", "/models/m");
    environment.put("BULKGEN_INPUT", "/data/in");
    environment.put("BULKGEN_OUTPUT", "/data/out");
  }

  static Stream<String> scripts() throws Exception {
    return DeployFiles.ending(".sh").stream();
  }

  @ParameterizedTest
  @MethodSource("scripts")
  void testScriptsAreSound(String script) throws Exception {
    String file = DeployFiles.ROOT.resolve(script).toString();
    Programs.run(Map.of(), List.of("bash", "-n", file));
    assertTrue(Files.isExecutable(Path.of(file)), "not executable");
    Programs.require("shellcheck");
    Programs.run(Map.of(), List.of("shellcheck", file));
  }

  private SparkSubmitArguments submit(String script, String... arguments) throws Exception {
    List<String> command = new ArrayList<>();
    command.add(DeployFiles.ROOT.resolve("deploy").resolve(script).toString());
    command.addAll(List.of(arguments));
    List<String> given = new ArrayList<>(Programs.run(environment, command).lines().toList());
    int file = given.indexOf("--properties-file") + 1;
    assertTrue(file > 0, given.toString());
    // This test runs elsewhere than in the root of the checkout, as users do.
    assertTrue(Files.exists(Path.of(given.get(file))), given.get(file));
    TestSparkProperties.check(DeployFiles.properties(given.get(file)));
    return CommandLines.sparkSubmit(given);
  }

  @ParameterizedTest
  @CsvSource({
    "kubernetes/submit.sh, k8s://https://host:6443, cluster",
    "yarn/submit.sh, yarn, cluster",
    "standalone/submit.sh, spark://host:7077, client"
  })
  void testSparkReadsWhatTheySubmit(String script, String master, String mode) throws Exception {
    List<String> score =
        List.of("score", "--model=/m", "--input", "/in put", "--output=/out", "--text-column=text");
    assertEquals(score, CommandLines.application(submit(script, score.toArray(String[]::new))));
    List<String> generate =
        List.of("generate", "--model=/m", "--input", "/in put", "--output=/out", "--max-tokens=8");
    SparkSubmitArguments read = submit(script, generate.toArray(String[]::new));
    assertEquals(generate, CommandLines.application(read));
    CommandLines.check(generate);
    assertEquals(master, read.master());
    assertEquals(mode, read.deployMode() == null ? "client" : read.deployMode());
    String jar = read.primaryResource();
    assertTrue(jar.contains("bulkgen-spark"), jar);
    if (read.files() != null) {
      assertTrue(read.files().endsWith("deploy/gpu-discovery.sh"), read.files());
      assertTrue(Files.exists(Path.of(URI.create(read.files()))), read.files());
    }
  }

  @Test
  void testNightOfADay() throws Exception {
    SparkSubmitArguments read = submit("schedule/nightly.sh", "2026-01-31");
    assertEquals(
        List.of(
            "generate",
            "--model",
            "/models/m",
            "--input",
            "/data/in/2026-01-31",
            "--output",
            "/data/out/2026-01-31"),
        CommandLines.application(read));
    String yesterday = CommandLines.application(submit("schedule/nightly.sh")).get(4);
    assertTrue(yesterday.matches("/data/in/\\d{4}-\\d\\d-\\d\\d"), yesterday);
  }

  @ParameterizedTest
  @CsvSource({
    "standalone/submit.sh, SPARK_MASTER",
    "yarn/submit.sh, HADOOP_CONF_DIR",
    "kubernetes/submit.sh, KUBE_MASTER",
    "schedule/nightly.sh, BULKGEN_MODEL"
  })
  void testWhatIsMissingIsNamed(String script, String name) throws Exception {
    environment.put(name, "");
    Programs.Ended ended =
        Programs.end(environment, List.of(DeployFiles.ROOT.resolve("deploy/" + script).toString()));
    assertTrue(ended.status() != 0 && ended.said().contains(name + ": set it to"), ended.said());
  }

  @Test
  void testWrongDayIsRefused() throws Exception {
    Programs.Ended ended =
        Programs.end(
            environment,
            List.of(
                DeployFiles.ROOT.resolve("deploy/schedule/nightly.sh").toString(), "31.1.2026"));
    assertEquals(1, ended.status());
    assertTrue(ended.said().contains("'31.1.2026' is no day"), ended.said());
  }
}
