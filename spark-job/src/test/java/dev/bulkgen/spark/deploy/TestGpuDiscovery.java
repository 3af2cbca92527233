package dev.bulkgen.spark.deploy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.spark.Programs;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.resource.ResourceInformation;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The discovery script beside an nvidia-smi that answers as the real one does. */
class TestGpuDiscovery {
  private static final String SCRIPT =
      DeployFiles.ROOT.resolve("deploy/gpu-discovery.sh").toString();

  @TempDir Path folder;

  private final Map<String, String> environment = new HashMap<>();

  @BeforeEach
  void prepare() throws Exception {
    smi("echo '0, GPU-aaaa1111'; echo '1, GPU-bbbb2222'; echo '10, GPU-cccc3333'");
    environment.put("PATH", folder + ":/usr/bin:/bin");
  }

  private void smi(String script) throws Exception {
    Path smi = Files.writeString(folder.resolve("nvidia-smi"), "#!/bin/sh\n" + script + "\n");
    Files.setPosixFilePermissions(smi, PosixFilePermissions.fromString("rwxr-xr-x"));
  }

  private String[] addresses() throws Exception {
    // As Spark parses what a script prints.
    return ResourceInformation.parseJson(Programs.run(environment, List.of(SCRIPT))).addresses();
  }

  private String failure() throws Exception {
    Programs.Ended ended = Programs.end(environment, List.of(SCRIPT));
    assertNotEquals(0, ended.status());
    assertTrue(ended.said().startsWith("gpu-discovery: "), ended.said());
    return ended.said();
  }

  @Test
  void testAllOfTheMachine() throws Exception {
    assertEquals(List.of("0", "1", "10"), List.of(addresses()));
  }

  /** CUDA numbers the visible ones from 0 on. */
  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {"1;0", "10, 0;0,1", "GPU-bbbb;0", "0,5,1;0", "1,0,10;0,1,2"})
  void testVisibleOnes(String visible, String expected) throws Exception {
    environment.put("CUDA_VISIBLE_DEVICES", visible);
    assertEquals(expected, String.join(",", addresses()));
  }

  @ParameterizedTest
  @CsvSource({"''", "7", "-1"})
  void testNoneVisible(String visible) throws Exception {
    environment.put("CUDA_VISIBLE_DEVICES", visible);
    assertTrue(failure().contains("CUDA_VISIBLE_DEVICES is '" + visible + "'"));
  }

  @Test
  void testFailuresSayWhatIsMissing() throws Exception {
    smi(
        "echo 'NVIDIA-SMI has failed because it could not communicate with the driver' >&2; exit 9");
    assertTrue(failure().contains("could not communicate with the driver"));
    smi("true");
    assertTrue(failure().contains("no GPU"));
    Files.delete(folder.resolve("nvidia-smi"));
    environment.put("PATH", folder + ":" + onlyShell());
    assertTrue(failure().contains("install NVIDIA's driver"));
  }

  /**
   * A folder with what the script itself needs, so that an nvidia-smi of this machine is not seen.
   */
  private Path onlyShell() throws Exception {
    Path tools = Files.createDirectory(folder.resolve("tools"));
    for (String tool : List.of("bash", "env", "grep")) {
      Files.createSymbolicLink(tools.resolve(tool), Path.of("/usr/bin", tool));
    }
    return tools;
  }

  @Test
  void testStandaloneWorkerHasFourSlotsAGpu() throws Exception {
    smi("echo 'GPU 0: A'; echo 'GPU 1: B'");
    environment.put("BULKGEN_HOME", DeployFiles.ROOT.toString());
    String said =
        Programs.run(
            environment,
            List.of(
                "bash",
                "-c",
                ". '"
                    + DeployFiles.ROOT
                    + "/deploy/standalone/spark-env.sh'; echo \"$SPARK_WORKER_CORES|$SPARK_WORKER_OPTS\""));
    assertTrue(said.startsWith("8|-Dspark.worker.resource.gpu.amount=2 "), said);
    assertTrue(said.strip().endsWith(".discoveryScript=" + SCRIPT), said);
  }
}
