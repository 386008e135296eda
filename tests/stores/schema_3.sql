PRAGMA application_id = 1819045222;
PRAGMA user_version = 3;
BEGIN TRANSACTION;
CREATE TABLE answers (
        answer INTEGER PRIMARY KEY, run INTEGER NOT NULL, task INTEGER NOT NULL, attempt INTEGER NOT NULL,
        number INTEGER NOT NULL, output NOT NULL, text, messages NOT NULL, finish_reason TEXT NOT NULL,
        model TEXT NOT NULL, answered_by TEXT NOT NULL, endpoint TEXT NOT NULL, input_tokens INTEGER NOT NULL,
        output_tokens INTEGER NOT NULL, cached_input_tokens INTEGER NOT NULL, cache_write_tokens INTEGER NOT NULL,
        reasoning_tokens INTEGER NOT NULL, usage_estimated INTEGER NOT NULL, duration REAL NOT NULL,
        first_token REAL, request_id TEXT NOT NULL, key TEXT NOT NULL, created_at REAL NOT NULL, accepted INTEGER NOT NULL DEFAULT 1, parts TEXT NOT NULL DEFAULT '{}',
        UNIQUE (run, task, attempt));
INSERT INTO "answers" VALUES(1,1,0,1,1,'"A"',NULL,'[{"role":"user","content":"Go to Rome"}]','stop','mock/m','m','',3,1,0,0,0,1,3.04393000988056883215e-04,NULL,'','280cc600c78258f3091565b028df5edc55c7b8a2fb34dff4710281174685bf00',1.79555291971896243091e+09,1,'{"model":"0cb5f0587f54","input":"f6e5c7363856","params":"e10808d43975","schema":"1d8fc6ceb1f9","prompt":"9c71a22fa74c"}');
INSERT INTO "answers" VALUES(2,1,5,4,1,'"X"',NULL,'[{"role":"user","content":"x of A"}]','stop','mock/m','m','',2,1,0,0,0,1,2.12105001992313191294e-04,NULL,'','c528f7a3ebd108bde116eb025ddf2454bb3464bb76e7e3b900381b045b46c589',1.79555291972874379153e+09,1,'{"model":"0cb5f0587f54","input":"bf7a608dc166","params":"e10808d43975","schema":"1d8fc6ceb1f9","prompt":"3487dfd31346"}');
INSERT INTO "answers" VALUES(3,1,6,5,1,'"Y"',NULL,'[{"role":"user","content":"y of A"}]','stop','mock/m','m','',2,1,0,0,0,1,7.65539989515673369169e-05,NULL,'','2e35c95658774c8654acceff8b3871df1da5461cff0e00bf18ea504fb7568890',1.79555291972888803487e+09,1,'{"model":"0cb5f0587f54","input":"770452626481","params":"e10808d43975","schema":"1d8fc6ceb1f9","prompt":"3487dfd31346"}');
INSERT INTO "answers" VALUES(4,1,7,6,1,'"Z"',NULL,'[{"role":"user","content":"z of A"}]','stop','mock/m','m','',2,1,0,0,0,1,6.20929968135897070169e-05,NULL,'','2e1fa95797b380eeffabaeeefbf72e30a1394268488a901d96c155b22a040a87',1.79555291972899222375e+09,1,'{"model":"0cb5f0587f54","input":"8092cdc0ebcc","params":"e10808d43975","schema":"1d8fc6ceb1f9","prompt":"3487dfd31346"}');
INSERT INTO "answers" VALUES(5,1,3,7,1,'"B"',NULL,'[{"role":"user","content":"two A"}]','stop','mock/m','m','',1,1,0,0,0,1,2.24224000703543424606e-04,NULL,'','15c7cf2f2e7b57280df2f1b95bc4e5f1bc4389c2bccf5f237aa0f0f9aeb755ce',1.79555291974246025079e+09,1,'{"model":"0cb5f0587f54","input":"33f5a9d62808","params":"e10808d43975","schema":"1d8fc6ceb1f9","prompt":"07ad79748e7a"}');
INSERT INTO "answers" VALUES(6,1,4,8,1,'"C"',NULL,'[{"role":"user","content":"three B"}]','stop','mock/m','m','',2,1,0,0,0,1,2.32214999414281919598e-04,NULL,'','1113624904d1c5c462aeef182dbc9cd29e9d4c46ac426a7d624c5413e0fe088b',1.79555291974951362603e+09,1,'{"model":"0cb5f0587f54","input":"8858d30fd921","params":"e10808d43975","schema":"1d8fc6ceb1f9","prompt":"da24b599fabd"}');
INSERT INTO "answers" VALUES(7,2,0,1,1,'"A"',NULL,'[{"role":"user","content":"Go to Rome"}]','stop','mock/m','m','',3,1,0,0,0,1,2.60828001046320423483e-04,NULL,'','280cc600c78258f3091565b028df5edc55c7b8a2fb34dff4710281174685bf00',1.79555292203863668437e+09,1,'{"model":"0cb5f0587f54","input":"f6e5c7363856","params":"e10808d43975","schema":"1d8fc6ceb1f9","prompt":"9c71a22fa74c"}');
INSERT INTO "answers" VALUES(8,2,5,4,1,'"X"',NULL,'[{"role":"user","content":"x of A"}]','stop','mock/m','m','',2,1,0,0,0,1,2.82059998426120728254e-04,NULL,'','c528f7a3ebd108bde116eb025ddf2454bb3464bb76e7e3b900381b045b46c589',1.79555292205890750889e+09,1,'{"model":"0cb5f0587f54","input":"bf7a608dc166","params":"e10808d43975","schema":"1d8fc6ceb1f9","prompt":"3487dfd31346"}');
INSERT INTO "answers" VALUES(9,2,6,5,1,'"Y"',NULL,'[{"role":"user","content":"y of A"}]','stop','mock/m','m','',2,1,0,0,0,1,1.17545001558028161525e-04,NULL,'','2e35c95658774c8654acceff8b3871df1da5461cff0e00bf18ea504fb7568890',1.79555292205916953085e+09,1,'{"model":"0cb5f0587f54","input":"770452626481","params":"e10808d43975","schema":"1d8fc6ceb1f9","prompt":"3487dfd31346"}');
INSERT INTO "answers" VALUES(10,2,7,6,1,'"Z"',NULL,'[{"role":"user","content":"z of A"}]','stop','mock/m','m','',2,1,0,0,0,1,1.81569997948827221989e-04,NULL,'','2e1fa95797b380eeffabaeeefbf72e30a1394268488a901d96c155b22a040a87',1.79555292205941843981e+09,1,'{"model":"0cb5f0587f54","input":"8092cdc0ebcc","params":"e10808d43975","schema":"1d8fc6ceb1f9","prompt":"3487dfd31346"}');
INSERT INTO "answers" VALUES(11,3,0,1,1,'"A"',NULL,'[{"role":"user","content":"Go to Rome"}]','stop','mock/m','m','',3,1,0,0,0,1,2.88769999315263703465e-04,NULL,'','280cc600c78258f3091565b028df5edc55c7b8a2fb34dff4710281174685bf00',1.79555292470662045479e+09,1,'{"model":"0cb5f0587f54","input":"f6e5c7363856","params":"e10808d43975","schema":"1d8fc6ceb1f9","prompt":"9c71a22fa74c"}');
INSERT INTO "answers" VALUES(12,3,5,4,1,'"X"',NULL,'[{"role":"user","content":"x of A"}]','stop','mock/m','m','',2,1,0,0,0,1,2.78684998193057253956e-04,NULL,'','c528f7a3ebd108bde116eb025ddf2454bb3464bb76e7e3b900381b045b46c589',1.79555292472153186795e+09,1,'{"model":"0cb5f0587f54","input":"bf7a608dc166","params":"e10808d43975","schema":"1d8fc6ceb1f9","prompt":"3487dfd31346"}');
INSERT INTO "answers" VALUES(13,3,6,5,1,'"Y"',NULL,'[{"role":"user","content":"y of A"}]','stop','mock/m','m','',2,1,0,0,0,1,7.36799993319436907768e-05,NULL,'','2e35c95658774c8654acceff8b3871df1da5461cff0e00bf18ea504fb7568890',1.79555292472169923789e+09,1,'{"model":"0cb5f0587f54","input":"770452626481","params":"e10808d43975","schema":"1d8fc6ceb1f9","prompt":"3487dfd31346"}');
INSERT INTO "answers" VALUES(14,3,7,6,1,'"Z"',NULL,'[{"role":"user","content":"z of A"}]','stop','mock/m','m','',2,1,0,0,0,1,6.22530023974832147359e-05,NULL,'','2e1fa95797b380eeffabaeeefbf72e30a1394268488a901d96c155b22a040a87',1.7955529247218112946e+09,1,'{"model":"0cb5f0587f54","input":"8092cdc0ebcc","params":"e10808d43975","schema":"1d8fc6ceb1f9","prompt":"3487dfd31346"}');
CREATE TABLE events (
        run INTEGER NOT NULL, seq INTEGER NOT NULL, kind INTEGER NOT NULL, at REAL NOT NULL,
        f1, f2, f3, f4, f5, f6, f7, PRIMARY KEY (run, seq)) WITHOUT ROWID;
INSERT INTO "events" VALUES(1,1,1,3.35000004270114e-05,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,2,12,3.35000004270114e-05,0,1,1,0,0,0,0);
INSERT INTO "events" VALUES(1,3,3,1.13748600015242118388e-02,0,1,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,4,16,1.13748600015242118388e-02,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,5,12,1.13748600015242118388e-02,1,2,1,-1,0,0,0);
INSERT INTO "events" VALUES(1,6,12,1.13748600015242118388e-02,2,3,1,-1,0,0,0);
INSERT INTO "events" VALUES(1,7,3,1.33900799992261454463e-02,1,2,'expand',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,8,3,1.89177169995673466473e-02,2,3,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,9,16,1.89177169995673466473e-02,2,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,10,6,1.93761099981202278286e-02,1,5,3,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,11,7,1.93951379987993277609e-02,1,'',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,12,12,1.93951379987993277609e-02,5,4,1,0,0,0,0);
INSERT INTO "events" VALUES(1,13,12,1.93951379987993277609e-02,6,5,1,0,0,1,0);
INSERT INTO "events" VALUES(1,14,12,1.93951379987993277609e-02,7,6,1,0,0,2,0);
INSERT INTO "events" VALUES(1,15,3,2.11328539990063291043e-02,5,4,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,16,16,2.11328539990063291043e-02,5,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,17,3,2.12629679990641307085e-02,6,5,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,18,16,2.12629679990641307085e-02,6,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,19,3,2.13655109982937574386e-02,7,6,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,20,16,2.13655109982937574386e-02,7,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,21,16,2.13655109982937574386e-02,1,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,22,12,2.13655109982937574386e-02,3,7,1,0,0,0,0);
INSERT INTO "events" VALUES(1,23,3,3.48597150004934519529e-02,3,7,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,24,16,3.48597150004934519529e-02,3,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,25,12,3.48597150004934519529e-02,4,8,1,0,0,0,0);
INSERT INTO "events" VALUES(1,26,3,4.19158379991131369024e-02,4,8,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,27,16,4.19158379991131369024e-02,4,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,28,22,4.19158379991131369024e-02,'succeeded',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,1,1,3.21680017805192619562e-05,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,2,12,3.21680017805192619562e-05,0,1,1,0,0,0,0);
INSERT INTO "events" VALUES(2,3,3,7.05520100018475204706e-03,0,1,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,4,16,7.05520100018475204706e-03,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,5,12,7.05520100018475204706e-03,1,2,1,-1,0,0,0);
INSERT INTO "events" VALUES(2,6,12,7.05520100018475204706e-03,2,3,1,-1,0,0,0);
INSERT INTO "events" VALUES(2,7,3,1.10755140012770425528e-02,1,2,'expand',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,8,3,1.11798100006126333028e-02,2,3,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,9,16,1.11798100006126333028e-02,2,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,10,6,1.16526130004785954952e-02,1,5,3,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,11,7,1.16691780021938029676e-02,1,'',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,12,12,1.16691780021938029676e-02,5,4,1,0,0,0,0);
INSERT INTO "events" VALUES(2,13,12,1.16691780021938029676e-02,6,5,1,0,0,1,0);
INSERT INTO "events" VALUES(2,14,12,1.16691780021938029676e-02,7,6,1,0,0,2,0);
INSERT INTO "events" VALUES(2,15,3,2.7357078000932233408e-02,5,4,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,16,16,2.7357078000932233408e-02,5,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,17,3,2.75559440015058498829e-02,6,5,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,18,16,2.75559440015058498829e-02,6,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,19,3,2.78130970000347588211e-02,7,6,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,20,16,2.78130970000347588211e-02,7,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,21,16,2.78130970000347588211e-02,1,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,22,12,2.78130970000347588211e-02,3,7,1,0,0,0,0);
INSERT INTO "events" VALUES(2,23,4,3.87910360004752874374e-02,3,7,'server','a scripted failure of the task ''b''',NULL,1,NULL);
INSERT INTO "events" VALUES(2,24,17,3.87910360004752874374e-02,3,'server','a scripted failure of the task ''b''',0,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,25,19,3.87910360004752874374e-02,4,3,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,26,22,3.87910360004752874374e-02,'failed',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,1,1,3.37899982696399092674e-05,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,2,12,3.37899982696399092674e-05,0,1,1,0,0,0,0);
INSERT INTO "events" VALUES(3,3,3,1.85157880005135666579e-02,0,1,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,4,16,1.85157880005135666579e-02,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,5,12,1.85157880005135666579e-02,1,2,1,-1,0,0,0);
INSERT INTO "events" VALUES(3,6,12,1.85157880005135666579e-02,2,3,1,-1,0,0,0);
INSERT INTO "events" VALUES(3,7,3,1.87333020003279671072e-02,1,2,'expand',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,8,3,1.87692760009667836129e-02,2,3,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,9,16,1.87692760009667836129e-02,2,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,10,6,1.90348510004696436226e-02,1,5,3,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,11,7,1.90480310011480469256e-02,1,'',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,12,12,1.90480310011480469256e-02,5,4,1,0,0,0,0);
INSERT INTO "events" VALUES(3,13,12,1.90480310011480469256e-02,6,5,1,0,0,1,0);
INSERT INTO "events" VALUES(3,14,12,1.90480310011480469256e-02,7,6,1,0,0,2,0);
INSERT INTO "events" VALUES(3,15,3,3.34174880008504260331e-02,5,4,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,16,16,3.34174880008504260331e-02,5,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,17,3,3.3556325000972719863e-02,6,5,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,18,16,3.3556325000972719863e-02,6,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,19,3,3.36598889989545568823e-02,7,6,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,20,16,3.36598889989545568823e-02,7,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,21,16,3.36598889989545568823e-02,1,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,22,12,3.36598889989545568823e-02,3,7,1,0,0,0,0);
CREATE TABLE kinds (kind INTEGER PRIMARY KEY, name TEXT NOT NULL, fields TEXT NOT NULL, UNIQUE (name, fields));
INSERT INTO "kinds" VALUES(1,'RunStarted','["at"]');
INSERT INTO "kinds" VALUES(2,'RunResumed','["at"]');
INSERT INTO "kinds" VALUES(3,'AttemptSucceeded','["at", "task", "attempt", "outcome"]');
INSERT INTO "kinds" VALUES(4,'AttemptFailed','["at", "task", "attempt", "kind", "detail", "retry_after", "retryable"]');
INSERT INTO "kinds" VALUES(5,'AttemptCancelled','["at", "task", "attempt", "reason"]');
INSERT INTO "kinds" VALUES(6,'TasksAdded','["at", "parent", "first", "size"]');
INSERT INTO "kinds" VALUES(7,'ItemsClosed','["at", "parent", "problem"]');
INSERT INTO "kinds" VALUES(8,'TimerFired','["at", "timer"]');
INSERT INTO "kinds" VALUES(9,'AlarmRang','["at"]');
INSERT INTO "kinds" VALUES(10,'ApprovalGiven','["at", "task", "approved", "comment"]');
INSERT INTO "kinds" VALUES(11,'StopRequested','["at", "reason", "mode"]');
INSERT INTO "kinds" VALUES(12,'AttemptStarted','["at", "task", "attempt", "number", "pool", "endpoint", "worker", "candidate"]');
INSERT INTO "kinds" VALUES(13,'TimerSet','["at", "timer", "task", "due", "cause"]');
INSERT INTO "kinds" VALUES(14,'AlarmSet','["at", "due"]');
INSERT INTO "kinds" VALUES(15,'CancelRequested','["at", "task", "attempt", "reason"]');
INSERT INTO "kinds" VALUES(16,'TaskSucceeded','["at", "task"]');
INSERT INTO "kinds" VALUES(17,'TaskFailed','["at", "task", "kind", "detail", "accepted"]');
INSERT INTO "kinds" VALUES(18,'TaskSkipped','["at", "task"]');
INSERT INTO "kinds" VALUES(19,'TaskBlocked','["at", "task", "cause"]');
INSERT INTO "kinds" VALUES(20,'TaskCancelled','["at", "task", "reason"]');
INSERT INTO "kinds" VALUES(21,'RunPaused','["at", "reason"]');
INSERT INTO "kinds" VALUES(22,'RunFinished','["at", "status"]');
CREATE TABLE runs (
        run INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, pipeline TEXT NOT NULL, path TEXT NOT NULL,
        source TEXT NOT NULL REFERENCES sources (sha256), started_at REAL NOT NULL, policy TEXT NOT NULL,
        workers INTEGER, seed INTEGER NOT NULL, inputs NOT NULL, options NOT NULL, pools NOT NULL, forecast,
        version TEXT NOT NULL, status TEXT NOT NULL, finished_at REAL, makespan REAL, summary);
INSERT INTO "runs" VALUES(1,'01M87MPG0F78V74EZQ2J32AX8A','upgraded','@FOLDER@/p.yaml','a4b7f95505c6df3123e9ff1bad37ec9c46f98bc4cf50b961762634c0341df4d0',1.79555291956781768805e+09,'stochastic',NULL,0,'{"place":"Rome"}','{"inputs":[],"workers":null,"policy":null,"models":[],"fail_fast":false,"only":[],"start":[],"until":[]}','[["mock",null,[]]]','{"decision":{"order":"critical-path","reason":"there is a worker for every task: the order does not matter","samples":0,"evidence":[]}}','0.1.0','succeeded',1.79555291978528213498e+09,4.19158379991131369024e-02,'{"schema":"llmflow.run/1","run":"01M87MPG0F78V74EZQ2J32AX8A","status":"succeeded","outputs":{"all":"A! X Y Z C"},"makespan":0.04191583799911314,"lower_bound":0.03386206000141101,"lower_bound_kind":"critical path","ratio":1.2378407573953425,"fifo_makespan":0.03386206000141101,"critical_path":["a","each[z]","each","b","c"],"pools":[{"name":"mock","workers":null,"busy":0.037467606001882814,"utilisation":0.2979590197121158,"used":[{"worker":0,"busy":0.03362940300212358,"utilisation":0.8023077816751538},{"worker":1,"busy":0.001867830000264803,"utilisation":0.044561437619458376},{"worker":2,"busy":0.0019703729994944297,"utilisation":0.04700783984173522}]}],"second_calls":{"made":0,"answered_first":0},"tasks":{"a":{"status":"succeeded","attempts":1,"duration":0.0113413600010972,"started":3.35000004270114e-05,"finished":0.011374860001524212,"usage":{"input_tokens":3,"output_tokens":1,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true}},"each":{"status":"succeeded","attempts":3,"duration":0.005575918999966234,"started":0.011374860001524212,"finished":0.021365510998293757,"items":{"succeeded":3},"usage":{"input_tokens":6,"output_tokens":3,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true}},"shape":{"status":"succeeded","attempts":1,"duration":0.0,"started":0.011374860001524212,"finished":0.018917716999567347},"b":{"status":"succeeded","attempts":1,"duration":0.013494204002199695,"started":0.021365510998293757,"finished":0.03485971500049345,"usage":{"input_tokens":1,"output_tokens":1,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true}},"c":{"status":"succeeded","attempts":1,"duration":0.007056122998619685,"started":0.03485971500049345,"finished":0.04191583799911314,"usage":{"input_tokens":2,"output_tokens":1,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true}}},"usage":{"input_tokens":12,"output_tokens":6,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true},"cost_usd":null,"time":{"makespan":0.041915838,"columns":{"model":0.000822925,"code":0.0,"failed":0.0,"asked_again":0.0,"dependency":0.0,"worker":0.0,"rate_limit":0.0,"backoff":0.0,"approval":0.0,"llmflow":0.041092913},"path":[{"task":"a","seconds":{"model":0.000304393,"llmflow":0.011070467}},{"task":"each","seconds":{"llmflow":0.00800125}},{"task":"each[z]","seconds":{"model":6.2093e-05,"llmflow":0.001927308}},{"task":"b","seconds":{"model":0.000224224,"llmflow":0.01326998}},{"task":"c","seconds":{"model":0.000232215,"llmflow":0.006823908}}]},"ranks_renewed":0}');
INSERT INTO "runs" VALUES(2,'01M87MPJAZKRC84J9YJA4AC6VC','upgraded','@FOLDER@/p.yaml','5f7760406197f72efcad682a2cef85c1ee73cf31375cbbda64a71cb952b15e52',1.7955529219518537521e+09,'stochastic',NULL,0,'{"place":"Rome"}','{"inputs":[],"workers":null,"policy":null,"models":[],"fail_fast":false,"only":[],"start":[],"until":[]}','[["mock",null,[]]]','{"makespan":0.0008491792791660495,"samples":66,"p10":0.0006106378313746428,"p50":0.0008491812488935892,"p90":0.0014348629087846897,"decision":{"order":"critical-path","reason":"there is a worker for every task: the order does not matter","samples":0,"evidence":[]}}','0.1.0','failed',1.79555292208737039567e+09,3.87910360004752874374e-02,'{"schema":"llmflow.run/1","run":"01M87MPJAZKRC84J9YJA4AC6VC","status":"failed","outputs":{"all":null},"makespan":0.03879103600047529,"lower_bound":0.03414489099668572,"lower_bound_kind":"critical path","ratio":1.1360714551480204,"fifo_makespan":0.03414489099668572,"critical_path":["a","each[z]","each","b"],"pools":[{"name":"mock","workers":null,"busy":0.0657195569947362,"utilisation":0.5647314755392712,"used":[{"worker":0,"busy":0.03368887199758319,"utilisation":0.8684705403890326},{"worker":1,"busy":0.015886765999312047,"utilisation":0.40954735004028753},{"worker":2,"busy":0.016143918997840956,"utilisation":0.41617653618849343}]}],"second_calls":{"made":0,"answered_first":0},"tasks":{"a":{"status":"succeeded","attempts":1,"duration":0.007023032998404233,"started":3.216800178051926e-05,"finished":0.007055201000184752,"usage":{"input_tokens":3,"output_tokens":1,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true}},"each":{"status":"succeeded","attempts":3,"duration":0.04771858499589143,"started":0.007055201000184752,"finished":0.02781309700003476,"items":{"succeeded":3},"usage":{"input_tokens":6,"output_tokens":3,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true}},"shape":{"status":"succeeded","attempts":1,"duration":0.0,"started":0.007055201000184752,"finished":0.011179810000612633},"b":{"status":"failed","attempts":1,"duration":0.010977939000440529,"started":0.02781309700003476,"finished":0.03879103600047529,"error":{"kind":"server","detail":"a scripted failure of the task ''b''","accepted":false}},"c":{"status":"blocked","attempts":0,"duration":0.0,"started":null,"finished":0.03879103600047529}},"usage":{"input_tokens":9,"output_tokens":4,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true},"cost_usd":null,"time":{"makespan":0.038791036,"columns":{"model":0.000442398,"code":0.0,"failed":0.010977939,"asked_again":0.0,"dependency":0.0,"worker":0.0,"rate_limit":0.0,"backoff":0.0,"approval":0.0,"llmflow":0.027370699},"path":[{"task":"a","seconds":{"model":0.000260828,"llmflow":0.006794373}},{"task":"each","seconds":{"llmflow":0.004597412}},{"task":"each[z]","seconds":{"model":0.00018157,"llmflow":0.015978914}},{"task":"b","seconds":{"failed":0.010977939}}]},"ranks_renewed":0}');
INSERT INTO "runs" VALUES(3,'01M87MPMWYETNYZ6JMNYA3RSP5','upgraded','@FOLDER@/p.yaml','b66611ac6d4a364a3278fd9a2d502349808e6e7e5d51f1154aae5b5c3818a7ba',1.79555292457461380959e+09,'stochastic',NULL,0,'{"place":"Rome"}','{"inputs":[],"workers":null,"policy":null,"models":[],"fail_fast":false,"only":[],"start":[],"until":[]}','[["mock",null,[]]]','{"makespan":0.000847048107315137,"samples":119,"p10":0.0006307063067929381,"p50":0.0008590937172447851,"p90":0.0012200645782582064,"decision":{"order":"critical-path","reason":"there is a worker for every task: the order does not matter","samples":0,"evidence":[]}}','0.1.0','running',NULL,NULL,NULL);
CREATE TABLE samples (
        sample INTEGER PRIMARY KEY, series INTEGER NOT NULL, run INTEGER NOT NULL, item TEXT, number INTEGER NOT NULL,
        outcome TEXT NOT NULL, duration REAL NOT NULL, started_at REAL NOT NULL, concurrency INTEGER NOT NULL,
        prompt_chars INTEGER, input_tokens INTEGER, output_tokens INTEGER, first_token REAL);
INSERT INTO "samples" VALUES(1,1,1,NULL,1,'succeeded',3.04393000988056883215e-04,1.79555291957876753811e+09,1,10,3,1,NULL);
INSERT INTO "samples" VALUES(2,2,1,'x',1,'succeeded',2.12105001992313191294e-04,1.79555291958866047865e+09,1,6,2,1,NULL);
INSERT INTO "samples" VALUES(3,2,1,'y',1,'succeeded',7.65539989515673369169e-05,1.79555291958897042274e+09,1,6,2,1,NULL);
INSERT INTO "samples" VALUES(4,2,1,'z',1,'succeeded',6.20929968135897070169e-05,1.79555291958909034734e+09,1,6,2,1,NULL);
INSERT INTO "samples" VALUES(5,3,1,NULL,1,'succeeded',2.24224000703543424606e-04,1.79555291960235810285e+09,1,5,1,1,NULL);
INSERT INTO "samples" VALUES(6,4,1,NULL,1,'succeeded',2.32214999414281919598e-04,1.79555291960940051083e+09,1,7,2,1,NULL);
INSERT INTO "samples" VALUES(7,1,2,NULL,1,'succeeded',2.60828001046320423483e-04,1.79555292195853686328e+09,1,10,3,1,NULL);
INSERT INTO "samples" VALUES(8,2,2,'x',1,'succeeded',2.82059998426120728254e-04,1.79555292197874283785e+09,1,6,2,1,NULL);
INSERT INTO "samples" VALUES(9,2,2,'y',1,'succeeded',1.17545001558028161525e-04,1.79555292197924447057e+09,1,6,2,1,NULL);
INSERT INTO "samples" VALUES(10,2,2,'z',1,'succeeded',1.81569997948827221989e-04,1.79555292197942304617e+09,1,6,2,1,NULL);
INSERT INTO "samples" VALUES(11,3,2,NULL,1,'server',1.09779390004405286163e-02,1.79555292197966694829e+09,1,NULL,NULL,NULL,NULL);
INSERT INTO "samples" VALUES(12,1,3,NULL,1,'succeeded',2.88769999315263703465e-04,1.79555292459270954136e+09,1,10,3,1,NULL);
INSERT INTO "samples" VALUES(13,2,3,'x',1,'succeeded',2.78684998193057253956e-04,1.79555292460762858392e+09,1,6,2,1,NULL);
INSERT INTO "samples" VALUES(14,2,3,'y',1,'succeeded',7.36799993319436907768e-05,1.79555292460805511478e+09,1,6,2,1,NULL);
INSERT INTO "samples" VALUES(15,2,3,'z',1,'succeeded',6.22530023974832147359e-05,1.79555292460818052293e+09,1,6,2,1,NULL);
CREATE TABLE series (
        series INTEGER PRIMARY KEY, pipeline TEXT NOT NULL, task TEXT NOT NULL, model TEXT NOT NULL,
        kind TEXT NOT NULL, endpoint TEXT NOT NULL, template TEXT NOT NULL,
        UNIQUE (pipeline, task, model, kind, endpoint, template));
INSERT INTO "series" VALUES(1,'upgraded','a','mock/m','mock','','9c71a22fa74c1630');
INSERT INTO "series" VALUES(2,'upgraded','each','mock/m','mock','','3487dfd31346058f');
INSERT INTO "series" VALUES(3,'upgraded','b','mock/m','mock','','07ad79748e7a8a05');
INSERT INTO "series" VALUES(4,'upgraded','c','mock/m','mock','','da24b599fabd6b78');
CREATE TABLE sources (sha256 TEXT PRIMARY KEY, text NOT NULL) WITHOUT ROWID;
INSERT INTO "sources" VALUES('5f7760406197f72efcad682a2cef85c1ee73cf31375cbbda64a71cb952b15e52','name: upgraded
inputs: {place: {default: Rome}}
providers: {mock: {answers: {a: A, "each[x]": X, "each[y]": Y, "each[z]": Z, b: {error: server}, c: C}}}
defaults: {model: mock/m, retry: {max_attempts: 1}}
tasks:
  a: {prompt: "Go to {{ inputs.place }}"}
  each: {foreach: {items: [x, y, z], key: "{{ item }}"}, prompt: "{{ item }} of {{ tasks.a.output }}"}
  shape: {value: "{{ tasks.a.output }}!"}
  b: {prompt: "two {{ tasks.a.output }}", depends_on: each}
  c: {prompt: "three {{ tasks.b.output }}"}
outputs: {all: "{{ tasks.shape.output }} {{ tasks.each.outputs | join('' '') }} {{ tasks.c.output }}"}
');
INSERT INTO "sources" VALUES('a4b7f95505c6df3123e9ff1bad37ec9c46f98bc4cf50b961762634c0341df4d0','name: upgraded
inputs: {place: {default: Rome}}
providers: {mock: {answers: {a: A, "each[x]": X, "each[y]": Y, "each[z]": Z, b: B, c: C}}}
defaults: {model: mock/m, retry: {max_attempts: 1}}
tasks:
  a: {prompt: "Go to {{ inputs.place }}"}
  each: {foreach: {items: [x, y, z], key: "{{ item }}"}, prompt: "{{ item }} of {{ tasks.a.output }}"}
  shape: {value: "{{ tasks.a.output }}!"}
  b: {prompt: "two {{ tasks.a.output }}", depends_on: each}
  c: {prompt: "three {{ tasks.b.output }}"}
outputs: {all: "{{ tasks.shape.output }} {{ tasks.each.outputs | join('' '') }} {{ tasks.c.output }}"}
');
INSERT INTO "sources" VALUES('b66611ac6d4a364a3278fd9a2d502349808e6e7e5d51f1154aae5b5c3818a7ba','name: upgraded
inputs: {place: {default: Rome}}
providers: {mock: {answers: {a: A, "each[x]": X, "each[y]": Y, "each[z]": Z, b: {text: B, delay: 60}, c: C}}}
defaults: {model: mock/m, retry: {max_attempts: 1}}
tasks:
  a: {prompt: "Go to {{ inputs.place }}"}
  each: {foreach: {items: [x, y, z], key: "{{ item }}"}, prompt: "{{ item }} of {{ tasks.a.output }}"}
  shape: {value: "{{ tasks.a.output }}!"}
  b: {prompt: "two {{ tasks.a.output }}", depends_on: each}
  c: {prompt: "three {{ tasks.b.output }}"}
outputs: {all: "{{ tasks.shape.output }} {{ tasks.each.outputs | join('' '') }} {{ tasks.c.output }}"}
');
CREATE TABLE tasks (
        run INTEGER NOT NULL, task INTEGER NOT NULL, name TEXT NOT NULL, item TEXT, kind TEXT NOT NULL,
        model TEXT NOT NULL, dependencies TEXT NOT NULL, PRIMARY KEY (run, task)) WITHOUT ROWID;
INSERT INTO "tasks" VALUES(1,0,'a',NULL,'model','mock/m','[]');
INSERT INTO "tasks" VALUES(1,1,'each',NULL,'foreach','','[0]');
INSERT INTO "tasks" VALUES(1,2,'shape',NULL,'value','','[0]');
INSERT INTO "tasks" VALUES(1,3,'b',NULL,'model','mock/m','[0, 1]');
INSERT INTO "tasks" VALUES(1,4,'c',NULL,'model','mock/m','[3]');
INSERT INTO "tasks" VALUES(1,5,'each','x','model','mock/m','[]');
INSERT INTO "tasks" VALUES(1,6,'each','y','model','mock/m','[]');
INSERT INTO "tasks" VALUES(1,7,'each','z','model','mock/m','[]');
INSERT INTO "tasks" VALUES(2,0,'a',NULL,'model','mock/m','[]');
INSERT INTO "tasks" VALUES(2,1,'each',NULL,'foreach','','[0]');
INSERT INTO "tasks" VALUES(2,2,'shape',NULL,'value','','[0]');
INSERT INTO "tasks" VALUES(2,3,'b',NULL,'model','mock/m','[0, 1]');
INSERT INTO "tasks" VALUES(2,4,'c',NULL,'model','mock/m','[3]');
INSERT INTO "tasks" VALUES(2,5,'each','x','model','mock/m','[]');
INSERT INTO "tasks" VALUES(2,6,'each','y','model','mock/m','[]');
INSERT INTO "tasks" VALUES(2,7,'each','z','model','mock/m','[]');
INSERT INTO "tasks" VALUES(3,0,'a',NULL,'model','mock/m','[]');
INSERT INTO "tasks" VALUES(3,1,'each',NULL,'foreach','','[0]');
INSERT INTO "tasks" VALUES(3,2,'shape',NULL,'value','','[0]');
INSERT INTO "tasks" VALUES(3,3,'b',NULL,'model','mock/m','[0, 1]');
INSERT INTO "tasks" VALUES(3,4,'c',NULL,'model','mock/m','[3]');
INSERT INTO "tasks" VALUES(3,5,'each','x','model','mock/m','[]');
INSERT INTO "tasks" VALUES(3,6,'each','y','model','mock/m','[]');
INSERT INTO "tasks" VALUES(3,7,'each','z','model','mock/m','[]');
CREATE INDEX runs_of_pipeline ON runs (pipeline, started_at);
CREATE INDEX answers_by_key ON answers (key) WHERE key <> '';
CREATE INDEX series_of_model ON series (model);
CREATE INDEX samples_of_series ON samples (series, outcome, started_at);
COMMIT;
