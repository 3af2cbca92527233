package dev.bulkgen.spark.deploy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What an image is made of, as far as that can be told without building it. */
class TestDockerfiles {
  private static final Set<String> INSTRUCTIONS = Set.of("FROM", "USER", "RUN", "COPY", "ENV");
  private static final String JAR = "spark-job/target/bulkgen-spark-job-*-all.jar";

  static Stream<String> files() throws Exception {
    return DeployFiles.all("deploy/docker").stream();
  }

  /** Instructions with their arguments; continued lines are one. */
  private static List<String[]> instructions(String file) throws Exception {
    List<String[]> instructions = new ArrayList<>();
    String text =
        DeployFiles.text(file).replaceAll("(?m)^#.*\\n", "").replaceAll("\\\\\\n\\s*", "");
    for (String line : text.lines().filter(line -> !line.isBlank()).toList()) {
      instructions.add(line.split("\\s+"));
    }
    return instructions;
  }

  @ParameterizedTest
  @MethodSource("files")
  void testWhatIsCopiedIsThere(String file) throws Exception {
    List<String> copied = new ArrayList<>();
    for (String[] instruction : instructions(file)) {
      assertTrue(INSTRUCTIONS.contains(instruction[0]), instruction[0]);
      if (instruction[0].equals("COPY")) {
        copied.addAll(List.of(instruction).subList(1, instruction.length - 1));
        String target = instruction[instruction.length - 1];
        assertTrue(target.startsWith("/opt/bulkgen/"), target);
      }
    }
    assertTrue(copied.remove(JAR), "the jar, as spark-job/pom.xml names it");
    assertTrue(DeployFiles.text("spark-job/pom.xml").contains("<shadedClassifierName>all</"));
    assertTrue(!copied.isEmpty());
    copied.forEach(name -> assertTrue(Files.isRegularFile(DeployFiles.ROOT.resolve(name)), name));
  }

  @ParameterizedTest
  @MethodSource("files")
  void testBasedOnTheSparkThatTheBuildHas(String file) throws Exception {
    List<String[]> instructions = instructions(file);
    String spark =
        DeployFiles.text("pom.xml")
            .replaceAll("(?s).*<spark.version>(.*?)</spark.version>.*", "$1");
    assertEquals(
        "FROM apache/spark:" + spark + "-scala-java17", String.join(" ", instructions.get(0)));
    // Root's only while it is built.
    assertEquals("USER 185", String.join(" ", instructions.get(instructions.size() - 1)));
  }

  /** Paths in Spark's settings are those of the image. */
  @ParameterizedTest
  @MethodSource("files")
  void testSettingsNameWhatTheImageHas(String file) throws Exception {
    String text = DeployFiles.text(file);
    if (file.endsWith(".cuda")) {
      var conf = DeployFiles.properties("conf/spark-kubernetes.properties");
      assertTrue(
          text.contains(" " + conf.get("spark.executor.resource.gpu.discoveryScript") + "\n"));
      assertTrue(text.contains(conf.get("spark.bulkgen.model-cache")));
    }
    assertTrue(text.contains(" /opt/bulkgen/bulkgen-spark.jar\n"));
    assertTrue(
        DeployFiles.text("deploy/kubernetes/submit.sh")
            .contains("local:///opt/bulkgen/bulkgen-spark.jar"));
  }
}
