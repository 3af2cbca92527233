package dev.bulkgen.spark.packaged;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.spark.Programs;
import dev.bulkgen.spark.job.JobRun;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.jar.JarFile;
import java.util.stream.Stream;
import org.apache.spark.launcher.JavaModuleOptions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The one jar for spark-submit: what is in it, and that it runs beside Spark's jars. */
@Tag("packaged")
class TestAssemblyJar {
  /** All that may be in it: ours with what is moved into our packages, and what cannot be moved. */
  private static final List<String> OURS =
      List.of("dev/bulkgen/", "jcuda/", "ai/djl/", "META-INF/", "lib/", "native/", "bulkgen.py");

  @TempDir Path folder;

  private static Path jar() throws IOException {
    try (Stream<Path> files = Files.list(Path.of("target"))) {
      return files.filter(file -> file.toString().endsWith("-all.jar")).findFirst().orElseThrow();
    }
  }

  private static List<String> entries(Path jar) throws IOException {
    try (JarFile file = new JarFile(jar.toFile())) {
      return file.stream()
          .filter(entry -> !entry.isDirectory())
          .map(entry -> entry.getName())
          .toList();
    }
  }

  /** What a cluster's Spark has: the build's class path but for what the jar carries. */
  private static List<Path> sparksJars() throws IOException {
    List<Path> jars = new ArrayList<>();
    for (String file :
        Files.readString(Path.of("target/classpath.txt")).split(File.pathSeparator)) {
      if (!file.matches(".*/(ai/djl|org/jcuda|com/typesafe|info/picocli)/.*")) {
        jars.add(Path.of(file.strip()));
      }
    }
    assertTrue(jars.size() > 100, jars.toString());
    return jars;
  }

  @Test
  void testHoldsOnlyWhatIsOurs() throws Exception {
    List<String> foreign =
        entries(jar()).stream().filter(name -> OURS.stream().noneMatch(name::startsWith)).toList();
    assertEquals(List.of(), foreign);
  }

  @Test
  void testHoldsNothingThatSparkBrings() throws Exception {
    Set<String> classes = new TreeSet<>();
    entries(jar()).stream().filter(name -> name.endsWith(".class")).forEach(classes::add);
    Set<String> twice = new TreeSet<>();
    for (Path spark : sparksJars()) {
      entries(spark).stream().filter(classes::contains).forEach(twice::add);
    }
    assertEquals(Set.of(), twice);
  }

  @Test
  void testHoldsNativesAndServices() throws Exception {
    Set<String> names = new TreeSet<>(entries(jar()));
    for (String part : List.of("lib/libJCudaDriver", "native/lib/linux-x86_64/")) {
      assertTrue(names.stream().anyMatch(name -> name.startsWith(part)), part);
    }
    assertTrue(names.contains("dev/bulkgen/shaded/picocli/CommandLine.class"));
    assertTrue(names.contains("dev/bulkgen/shaded/config/ConfigFactory.class"));
  }

  /** As spark-submit starts it: Spark's jars, and this one as the application. */
  @Test
  void testRunsBySparkSubmit() throws Exception {
    Path input = JobRun.prompts(folder.resolve("in.jsonl"), 6);
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin/java").toString());
    command.addAll(List.of(JavaModuleOptions.defaultModuleOptionArray()));
    command.addAll(
        List.of("-Xmx1g", "-cp", join(sparksJars()), "org.apache.spark.deploy.SparkSubmit"));
    command.addAll(List.of("--master", "local[2]", "--class", "dev.bulkgen.spark.cli.Main"));
    command.addAll(List.of("--conf", "spark.driver.host=localhost", jar().toString(), "generate"));
    command.addAll(List.of("--model", JobRun.MODEL, "--input", input.toString()));
    command.addAll(List.of("--output", folder.resolve("out").toString(), "--temperature", "0"));
    command.addAll(List.of("--max-tokens", "2", "--memory", "64MB", "--max-batch", "16"));
    command.addAll(List.of("--answer-column", "answer", "--settings", settings().toString()));
    String said = Programs.run(Map.of("SPARK_LOCAL_IP", "127.0.0.1"), command);
    assertTrue(said.contains("6 of 6, none failed"), said);
    assertTrue(Files.exists(folder.resolve("out/_SUCCESS")));
  }

  /** Read by the library for settings files, under its moved name. */
  private Path settings() throws IOException {
    return Files.writeString(folder.resolve("job.conf"), "bulkgen { unit-rows = 3 }\n");
  }

  private static String join(List<Path> jars) {
    return String.join(File.pathSeparator, jars.stream().map(Path::toString).toList());
  }

  @Test
  void testPythonImportsFromIt() throws Exception {
    Programs.require("python3");
    String said =
        Programs.run(
            Map.of("PYTHONPATH", jar().toAbsolutePath().toString()),
            List.of(
                "python3",
                "-c",
                "import bulkgen; print(bulkgen.Bulkgen.__name__, bulkgen.__file__)"));
    assertTrue(said.startsWith("Bulkgen ") && said.contains("-all.jar"), said);
  }
}
