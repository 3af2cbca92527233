package dev.bulkgen.spark.deploy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

/** Every file for clusters is exercised by a test; a new one has to be entered here. */
class TestDeployCoverage {
  private static final Map<String, String> TESTS = new TreeMap<>();

  static {
    in("TestConfFiles", "conf/bulkgen.conf");
    in("TestLogging", "conf/log4j2.properties");
    in(
        "TestSparkProperties",
        "conf/spark-cpu.properties",
        "conf/spark-kubernetes.properties",
        "conf/spark-sql.properties",
        "conf/spark-standalone.properties",
        "conf/spark-yarn.properties");
    in("TestDocs", "deploy/README.md");
    in("TestDockerfiles", "deploy/docker/Dockerfile.cpu", "deploy/docker/Dockerfile.cuda");
    in("TestGpuDiscovery", "deploy/gpu-discovery.sh", "deploy/standalone/spark-env.sh");
    in(
        "TestKubernetes",
        "deploy/kubernetes/apache-spark-application.yaml",
        "deploy/kubernetes/executor-pod.yaml",
        "deploy/kubernetes/scheduled-spark-application.yaml",
        "deploy/kubernetes/service-account.yaml",
        "deploy/kubernetes/spark-application.yaml");
    in("TestSchedule", "deploy/schedule/airflow_dag.py", "deploy/schedule/bulkgen.cron");
    in(
        "TestSubmitScripts",
        "deploy/kubernetes/submit.sh",
        "deploy/schedule/nightly.sh",
        "deploy/standalone/submit.sh",
        "deploy/yarn/submit.sh");
    in(
        "TestClusterFiles",
        "deploy/standalone/worker-resources.json",
        "deploy/yarn/capacity-scheduler.xml",
        "deploy/yarn/container-executor.cfg",
        "deploy/yarn/resource-types.xml",
        "deploy/yarn/yarn-site.xml");
  }

  private static void in(String test, String... files) {
    List.of(files).forEach(file -> TESTS.put(file, test));
  }

  @Test
  void testEveryFileIsExercised() throws Exception {
    assertEquals(TESTS.keySet(), new TreeSet<>(DeployFiles.all("conf", "deploy")));
    for (String test : TESTS.values()) {
      assertTrue(
          DeployFiles.all("spark-job/src/test/java").stream()
              .anyMatch(name -> name.endsWith("/" + test + ".java")),
          test);
    }
  }
}
